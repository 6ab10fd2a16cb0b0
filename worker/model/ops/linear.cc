#include "worker/model/ops/linear.h"

#include <algorithm>
#include <utility>

#include "worker/device/staging.h"
#include "worker/model/ops/fused_gemm.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"
#include "worker/model/ops/saved_context.h"

namespace ft::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor SumRows(const Tensor& values_NC) {
  const int64_t rows = values_NC.size(0), channels = values_NC.size(1);
  Tensor sum = torch::empty({channels}, values_NC.options().dtype(torch::kFloat));
  WithType(values_NC.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Launch(values_NC, &KernelsOf<T>::column_sum,
           {rows, channels, Data<T>(values_NC), MutableData<float>(sum)});
  });
  return sum;
}

Tensor ApplyDropout(const Tensor& x_NC, const DropoutSite& dropout) {
  const Tensor x = x_NC.contiguous();
  Tensor y = torch::empty_like(x);
  const kernels::DropoutShape shape{.key = dropout.rows->key,
                                    .sample = Data<uint64_t>(dropout.rows->sample_N),
                                    .position = Data<int64_t>(dropout.rows->position_N),
                                    .layer = dropout.layer,
                                    .site = dropout.site,
                                    .channels = x.size(1),
                                    .probability = dropout.probability};
  FT_CHECK(x.size(0) == dropout.rows->sample_N.size(0));
  WithType(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Launch(x, &KernelsOf<T>::dropout, {shape, x.size(0), Data<T>(x), MutableData<T>(y)});
  });
  return y;
}

bool Drops(const DropoutSite& dropout) { return dropout.rows != nullptr && dropout.probability > 0; }

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_NC, DropoutSite dropout) {
    SaveInContext(context, dropout);
    return ApplyDropout(x_NC, dropout);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {ApplyDropout(gradients[0], SavedInContext<DropoutSite>(context)), Tensor()};
  }
};

// x as the adapter sees it.
Tensor AdapterInput(const Tensor& x_NI, const LinearLayer& layer) {
  return Drops(layer.dropout) ? ApplyDropout(x_NI.to(layer.lora->compute), layer.dropout) : x_NI;
}

// A layer's handles: weight, bias, A, B. One that the layer has not is an empty tensor, which asks for no
// gradient.
constexpr size_t kHandles = 4;

variable_list Handles(const std::vector<LinearLayer>& layers) {
  const Tensor none = torch::empty({0});
  variable_list handles;
  for (const LinearLayer& layer : layers) {
    handles.push_back(layer.weight_OI->handle());
    handles.push_back(layer.bias_O == nullptr ? none : layer.bias_O->handle());
    handles.push_back(layer.lora == nullptr ? none : layer.lora->a_RI->handle());
    handles.push_back(layer.lora == nullptr ? none : layer.lora->b_OR->handle());
  }
  return handles;
}

// `values` of the layers that have an adapter, in order, as a list for all layers: undefined for the others.
std::vector<Tensor> AtAdapters(const std::vector<LinearLayer>& layers, const std::vector<Tensor>& values) {
  std::vector<Tensor> all;
  auto next = values.begin();
  for (const LinearLayer& layer : layers) all.push_back(layer.lora == nullptr ? Tensor() : *next++);
  return all;
}

bool ReadsInputInBackward(const LinearLayer& layer) {
  return layer.lora != nullptr || layer.weight_OI->trainable();
}

// LoRA's down-projections: scale * A(dropout(x)) of the layers that have an adapter, in its type; undefined
// for the others.
std::vector<Tensor> LoraDownProjections(const Tensor& x_NI, const std::vector<LinearLayer>& layers) {
  std::vector<FusedGemm> gemms;
  for (const LinearLayer& layer : layers) {
    if (layer.lora == nullptr) continue;
    gemms.push_back(
        {.terms = {{AdapterInput(x_NI, layer).to(layer.lora->compute), layer.lora->a_RI.get(), {}, true}},
         .scale = static_cast<float>(layer.lora->scale),
         .type = layer.lora->compute});
  }
  return AtAdapters(layers, Compute(gemms));
}

// A layer's output in float32: weight, adapter, bias, and `start`.
FusedGemm OutputGemm(const Tensor& x_NI, const LinearLayer& layer, const Tensor& down_NR, Tensor start_NO) {
  FusedGemm gemm{.terms = {{x_NI, layer.weight_OI, {}, true}}, .start_NC = std::move(start_NO)};
  if (down_NR.defined()) gemm.terms.push_back({down_NR, layer.lora->b_OR.get(), {}, true});
  if (layer.bias_O != nullptr) gemm.bias_C = layer.bias_O->Materialise(at::kFloat);
  return gemm;
}

// The backward pass of layers that read one input. `result` is indexed as the inputs of the autograd
// function.
class Gradients {
 public:
  // dy of each layer, in the type that the layers multiply in; x as saved, and the scaled down-projections.
  Gradients(AutogradContext* context, const std::vector<LinearLayer>& layers, std::vector<Tensor> dy_NO,
            Tensor x_NI, std::vector<Tensor> down_NR)
      : context_(context),
        layers_(layers),
        dy_NO_(std::move(dy_NO)),
        x_NI_(std::move(x_NI)),
        down_NR_(std::move(down_NR)),
        ddown_NR_(DownProjectionGradients()) {}

  // Sets result[input], the input's gradient: those of the layers are added up inside the fused GEMM.
  void InputGradient(size_t input, variable_list& result) const {
    if (!context_->needs_input_grad(input)) return;
    FusedGemm gemm{.type = dy_NO_[0].scalar_type()};
    for (size_t i = 0; i < layers_.size(); ++i) {
      gemm.terms.push_back({dy_NO_[i], layers_[i].weight_OI, {}, false});
      if (ddown_NR_[i].defined()) AddAdapter(i, gemm);
    }
    result[input] = Compute(gemm);
  }

  // Sets result[first_handle ...], the gradients of the handles.
  void HandleGradients(size_t first_handle, variable_list& result) const {
    std::vector<FusedGemm> gemms;
    std::vector<Tensor*> places;
    const auto add = [&](size_t handle, const Tensor& left_NM, const Tensor& right_NC) {
      if (!context_->needs_input_grad(handle)) return;
      gemms.push_back({.terms = {{left_NM.t().contiguous(), nullptr, right_NC, false}}});
      places.push_back(&result[handle]);
    };
    for (size_t i = 0; i < layers_.size(); ++i) {
      const size_t handle = first_handle + kHandles * i;
      add(handle, dy_NO_[i], x_NI_);
      if (context_->needs_input_grad(handle + 1)) result[handle + 1] = SumRows(dy_NO_[i]);
      if (layers_[i].lora == nullptr) continue;
      if (context_->needs_input_grad(handle + 2))
        add(handle + 2, ddown_NR_[i], AdapterInput(x_NI_, layers_[i]));
      add(handle + 3, down_NR_[i], dy_NO_[i]);
    }
    const std::vector<Tensor> gradients = Compute(gemms);
    for (size_t i = 0; i < places.size(); ++i) *places[i] = gradients[i];
    for (size_t i = 0; i < layers_.size(); ++i) {
      // B's was computed transposed: its narrow side is on the left of the product.
      Tensor& db = result[first_handle + kHandles * i + 3];
      if (db.defined()) db = db.t().contiguous();
    }
  }

 private:
  std::vector<Tensor> DownProjectionGradients() const {
    std::vector<FusedGemm> gemms;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const LoraSlots* lora = layers_[i].lora;
      if (lora == nullptr) continue;
      gemms.push_back({.terms = {{dy_NO_[i].to(lora->compute), lora->b_OR.get(), {}, false}},
                       .scale = static_cast<float>(lora->scale),
                       .type = lora->compute});
    }
    return AtAdapters(layers_, Compute(gemms));
  }

  void AddAdapter(size_t i, FusedGemm& gemm) const {
    const GemmTerm term{ddown_NR_[i], layers_[i].lora->a_RI.get(), {}, false};
    if (!Drops(layers_[i].dropout)) return gemm.terms.push_back(term);
    const Tensor dropped_NI = ApplyDropout(Compute({.terms = {term}}), layers_[i].dropout);
    gemm.start_NC = gemm.start_NC.defined() ? gemm.start_NC.add_(dropped_NI) : dropped_NI;
  }

  AutogradContext* context_;
  const std::vector<LinearLayer>& layers_;
  const std::vector<Tensor> dy_NO_;
  const Tensor x_NI_;
  const std::vector<Tensor> down_NR_;
  const std::vector<Tensor> ddown_NR_;
};

Tensor Narrowed(const Tensor& value, at::ScalarType type) {
  return c10::elementSize(type) < value.element_size() ? value.to(type) : value;
}

// What backward reads of a forward pass: x rounded to `saved_dtype`, and the down-projections.
variable_list Saved(const Tensor& x_NI, const std::vector<LinearLayer>& layers,
                    const std::vector<Tensor>& down_NR, at::ScalarType saved_dtype) {
  const bool reads = std::any_of(layers.begin(), layers.end(), ReadsInputInBackward);
  variable_list saved = {reads ? Narrowed(x_NI, saved_dtype) : Tensor()};
  saved.insert(saved.end(), down_NR.begin(), down_NR.end());
  return saved;
}

struct LinearsCall {
  std::vector<LinearLayer> layers;
  std::shared_ptr<const Epilogue> epilogue;
  at::ScalarType saved_dtype = at::kFloat;
  at::ScalarType input_type = at::kFloat;
  // Whether a graph is made. GradMode is always off inside Function::forward, so the caller passes it.
  bool has_backward = true;
};

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static variable_list forward(AutogradContext* context, const Tensor& x_NI, at::TensorList handles,
                               LinearsCall call) {
    const std::vector<LinearLayer>& layers = call.layers;
    const std::vector<Tensor> down_NR = LoraDownProjections(x_NI, layers);
    std::vector<FusedGemm> gemms;
    for (size_t i = 0; i < layers.size(); ++i) {
      gemms.push_back(OutputGemm(x_NI, layers[i], down_NR[i], {}));
      if (call.epilogue == nullptr) gemms.back().type = x_NI.scalar_type();
    }
    variable_list results = Compute(gemms), rest;
    if (call.epilogue != nullptr) {
      results = call.epilogue->Forward(results, x_NI.scalar_type(), call.has_backward ? &rest : nullptr);
    }
    if (call.has_backward) {
      variable_list saved = Saved(x_NI, layers, down_NR, call.saved_dtype);
      for (const Tensor& value : rest) saved.push_back(Narrowed(value, call.saved_dtype));
      context->save_for_backward(saved);
    }
    SaveInContext(context, std::move(call));
    return results;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const LinearsCall& call = SavedInContext<LinearsCall>(context);
    const std::vector<LinearLayer>& layers = call.layers;
    const variable_list saved = context->get_saved_variables();
    variable_list result(2 + kHandles * layers.size());
    const auto down = saved.begin() + 1, rest = down + static_cast<std::ptrdiff_t>(layers.size());
    if (call.epilogue != nullptr) {
      variable_list widened;
      for (auto value = rest; value != saved.end(); ++value)
        widened.push_back(value->to(gradients[0].scalar_type()));
      gradients = call.epilogue->Backward(gradients, widened);
    }
    // Those of results that are wider than x are multiplied in x's type all the same.
    for (Tensor& gradient : gradients) gradient = gradient.contiguous().to(call.input_type);
    const Gradients layer_gradients(context, layers, gradients, saved[0], {down, rest});
    layer_gradients.InputGradient(0, result);
    layer_gradients.HandleGradients(1, result);
    return result;
  }
};

struct AddLinearFunction : torch::autograd::Function<AddLinearFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& residual_NO, const Tensor& x_NI,
                        at::TensorList handles, LinearLayer layer, ForwardOutput output,
                        at::ScalarType saved_dtype) {
    const std::vector<LinearLayer> layers = {layer};
    const std::vector<Tensor> down_NR = LoraDownProjections(x_NI, layers);
    context->save_for_backward(Saved(x_NI, layers, down_NR, saved_dtype));
    context->saved_data["type"] = x_NI.scalar_type();
    SaveInContext(context, layers);
    if (output == ForwardOutput::kSkipped)
      return at::zeros({1}, residual_NO.options()).expand(residual_NO.sizes());
    return Compute(OutputGemm(x_NI, layer, down_NR[0], residual_NO.contiguous()));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& layers = SavedInContext<std::vector<LinearLayer>>(context);
    const variable_list saved = context->get_saved_variables();
    variable_list result(5 + kHandles);
    result[0] = gradients[0];
    const Tensor dy_NO = gradients[0].contiguous().to(context->saved_data["type"].toScalarType());
    const Gradients layer_gradients(context, layers, {dy_NO}, saved[0], {saved[1]});
    layer_gradients.InputGradient(1, result);
    layer_gradients.HandleGradients(2, result);
    return result;
  }
};

}  // namespace

std::vector<Tensor> Linears(const Tensor& x_NI, const std::vector<LinearLayer>& layers,
                            std::shared_ptr<const Epilogue> epilogue, at::ScalarType saved_dtype) {
  const variable_list handles = Handles(layers);
  return LinearFunction::apply(
      x_NI, at::TensorList(handles),
      LinearsCall{layers, std::move(epilogue), saved_dtype, x_NI.scalar_type(), at::GradMode::is_enabled()});
}

Tensor Linear(const Tensor& x_NI, const LinearLayer& layer) { return Linears(x_NI, {layer})[0]; }

Tensor AddLinear(const Tensor& residual_NO, const Tensor& x_NI, const LinearLayer& layer,
                 ForwardOutput output, at::ScalarType saved_dtype) {
  FT_CHECK(residual_NO.scalar_type() == at::kFloat) << residual_NO.scalar_type();
  const variable_list handles = Handles({layer});
  return AddLinearFunction::apply(residual_NO, x_NI, at::TensorList(handles), layer, output, saved_dtype);
}

std::shared_ptr<const DropoutRows> MakeDropoutRows(uint64_t seed, uint64_t step,
                                                   const std::vector<uint64_t>& sample,
                                                   const std::vector<int64_t>& position, at::Device device) {
  // The keys' bits; no tensor operation ever computes with them.
  Tensor keys = torch::empty({static_cast<int64_t>(sample.size())}, torch::kInt64);
  std::copy(sample.begin(), sample.end(), MutableData<uint64_t>(keys));
  return std::make_shared<const DropoutRows>(
      DropoutRows{kernels::PhiloxKey(seed, step), device::Upload(keys, device),
                  device::Upload(torch::tensor(position, torch::kInt64), device)});
}

Tensor Dropout(const Tensor& x_NC, const DropoutSite& dropout) {
  return Drops(dropout) ? DropoutFunction::apply(x_NC, dropout) : x_NC;
}

}  // namespace ft::ops
