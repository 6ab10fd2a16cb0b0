#include "worker/model/ops/linear.h"

#include <algorithm>
#include <utility>

#include "worker/device/staging.h"
#include "worker/model/ops/dora.h"
#include "worker/model/ops/fused_gemm.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"
#include "worker/model/ops/row_sums.h"
#include "worker/model/ops/saved_context.h"

namespace ft::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor ApplyDropout(const Tensor& x_NC, const DropoutSite& dropout) {
  const Tensor x = HasDenseRows(x_NC) ? x_NC : x_NC.contiguous();
  const Tensor y = torch::empty(x.sizes(), x.options());
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
    Launch(x, &KernelsOf<T>::dropout, {shape, x.size(0), RowData<T>(x), MutableData<T>(y), x.stride(0)});
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

// A layer's handles: weight, bias, A, B, magnitudes. One that the layer has not is an empty tensor, which asks for no
// gradient.
constexpr size_t kHandles = 5;

bool HasMagnitudes(const LinearLayer& layer) {
  return layer.lora != nullptr && layer.lora->magnitude_O != nullptr;
}

variable_list Handles(const std::vector<LinearLayer>& layers) {
  const Tensor none = torch::empty({0});
  variable_list handles;
  for (const LinearLayer& layer : layers) {
    handles.push_back(layer.weight_OI->handle());
    handles.push_back(layer.bias_O == nullptr ? none : layer.bias_O->handle());
    handles.push_back(layer.lora == nullptr ? none : layer.lora->a_RI->handle());
    handles.push_back(layer.lora == nullptr ? none : layer.lora->b_OR->handle());
    handles.push_back(HasMagnitudes(layer) ? layer.lora->magnitude_O->handle() : none);
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
  return AtAdapters(layers, Compute(gemms, ResultRows::kShared));
}

// A layer's output in float32: weight, adapter, bias, and `start`; with magnitudes before they, bias and start come to it.
FusedGemm OutputGemm(const Tensor& x_NI, const LinearLayer& layer, const Tensor& down_NR, Tensor start_NO) {
  FusedGemm gemm{.terms = {{x_NI, layer.weight_OI, {}, true}}};
  if (down_NR.defined()) gemm.terms.push_back({down_NR, layer.lora->b_OR.get(), {}, true});
  if (HasMagnitudes(layer)) return gemm;
  gemm.start_NC = std::move(start_NO);
  if (layer.bias_O != nullptr) gemm.bias_C = layer.bias_O->Materialise(at::kFloat);
  return gemm;
}

Tensor Narrowed(const Tensor& value, at::ScalarType type) {
  return c10::elementSize(type) < value.dtype().itemsize() ? value.to(type) : value;
}

// What backward reads of a forward pass. By layer, undefined where a layer has none of it.
struct SavedPass {
  Tensor x_NI;                    // Where a layer reads it.
  std::vector<Tensor> down_NR;    // Scaled down-projections.
  std::vector<Tensor> plain_NO;   // With magnitudes: the output before they come to it.
  std::vector<Tensor> inverse_O;  // And the inverse lengths of the weight's rows.

  variable_list ToList(at::ScalarType saved_dtype) const {
    variable_list list = {x_NI.defined() ? Narrowed(x_NI, saved_dtype) : x_NI};
    list.insert(list.end(), down_NR.begin(), down_NR.end());
    for (const Tensor& plain : plain_NO)
      list.push_back(plain.defined() ? Narrowed(plain, saved_dtype) : plain);
    list.insert(list.end(), inverse_O.begin(), inverse_O.end());
    return list;
  }
  // Of so many layers; `rest` is what stands behind.
  static SavedPass Of(const variable_list& list, size_t layers, variable_list* rest = nullptr) {
    const auto part = [&](size_t i) {
      const auto first = list.begin() + 1 + static_cast<std::ptrdiff_t>(i * layers);
      return std::vector<Tensor>(first, first + static_cast<std::ptrdiff_t>(layers));
    };
    if (rest != nullptr) rest->assign(list.begin() + 1 + static_cast<std::ptrdiff_t>(3 * layers), list.end());
    return {list[0], part(0), part(1), part(2)};
  }
};

// Gives `results`, the layers' plain outputs, their magnitudes, and keeps what backward reads of them.
void Magnify(const std::vector<LinearLayer>& layers, const Tensor& start_NO, variable_list& results,
             SavedPass& saved) {
  saved.plain_NO.resize(layers.size());
  saved.inverse_O.resize(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!HasMagnitudes(layers[i])) continue;
    saved.plain_NO[i] = results[i];
    saved.inverse_O[i] = InverseRowLengths(layers[i]);
    results[i] = Magnified(layers[i], saved.plain_NO[i], saved.inverse_O[i], start_NO);
  }
}

// The backward pass of layers that read one input. `result` is indexed as the inputs of the autograd
// function.
class Gradients {
 public:
  // dy of each layer, in the type that the layers multiply in.
  Gradients(AutogradContext* context, const std::vector<LinearLayer>& layers, std::vector<Tensor> dy_NO,
            SavedPass saved)
      : context_(context),
        layers_(layers),
        dy_NO_(std::move(dy_NO)),
        saved_(std::move(saved)),
        dplain_NO_(PlainGradients()),
        ddown_NR_(DownProjectionGradients()) {}

  // Sets result[input], the input's gradient: those of the layers are added up inside the fused GEMM.
  void InputGradient(size_t input, variable_list& result) const {
    if (!context_->needs_input_grad(input)) return;
    FusedGemm gemm{.type = dy_NO_[0].scalar_type()};
    for (size_t i = 0; i < layers_.size(); ++i) {
      gemm.terms.push_back({dplain_NO_[i], layers_[i].weight_OI, {}, false});
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
      gemms.push_back({.terms = {{left_NM.t(), nullptr, right_NC, false}}});
      places.push_back(&result[handle]);
    };
    for (size_t i = 0; i < layers_.size(); ++i) {
      const size_t handle = first_handle + kHandles * i;
      add(handle, dplain_NO_[i], saved_.x_NI);
      if (context_->needs_input_grad(handle + 1)) result[handle + 1] = SumRows(dy_NO_[i]);
      if (context_->needs_input_grad(handle + 4)) result[handle + 4] = MagnitudeGradient(i);
      if (layers_[i].lora == nullptr) continue;
      if (context_->needs_input_grad(handle + 2))
        add(handle + 2, ddown_NR_[i], AdapterInput(saved_.x_NI, layers_[i]));
      add(handle + 3, saved_.down_NR[i], dplain_NO_[i]);
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
  // What the outputs before magnitudes get.
  std::vector<Tensor> PlainGradients() const {
    std::vector<Tensor> gradients = dy_NO_;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (!HasMagnitudes(layers_[i])) continue;
      gradients[i] =
          (dy_NO_[i] * MagnitudeFactor(layers_[i], saved_.inverse_O[i])).to(dy_NO_[i].scalar_type());
    }
    return gradients;
  }

  Tensor MagnitudeGradient(size_t i) const {
    return SumRows(dy_NO_[i].to(at::kFloat) * saved_.plain_NO[i].to(at::kFloat)) * saved_.inverse_O[i];
  }

  std::vector<Tensor> DownProjectionGradients() const {
    std::vector<FusedGemm> gemms;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const LoraSlots* lora = layers_[i].lora;
      if (lora == nullptr) continue;
      gemms.push_back({.terms = {{dplain_NO_[i].to(lora->compute), lora->b_OR.get(), {}, false}},
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
  const SavedPass saved_;
  const std::vector<Tensor> dplain_NO_;
  const std::vector<Tensor> ddown_NR_;
};

// What backward reads of a pass over x, but for what Magnify keeps.
SavedPass SavedOf(const Tensor& x_NI, const std::vector<LinearLayer>& layers,
                  const std::vector<Tensor>& down_NR) {
  const bool reads = std::any_of(layers.begin(), layers.end(), ReadsInputInBackward);
  return {reads ? x_NI : Tensor(), down_NR, std::vector<Tensor>(layers.size()),
          std::vector<Tensor>(layers.size())};
}

struct LinearsCall {
  std::vector<LinearLayer> layers;
  std::shared_ptr<const Epilogue> epilogue;
  at::ScalarType saved_dtype = at::kFloat;
  at::ScalarType input_type = at::kFloat;
  // Whether a graph is made. GradMode is always off inside Function::forward, so the caller passes it.
  bool has_backward = true;
};

// Magnitudes keep the outputs that they come to.
ResultRows OutputRows(const LinearsCall& call) {
  const bool shared = call.epilogue != nullptr && call.epilogue->ReadsSharedRows() &&
                      std::none_of(call.layers.begin(), call.layers.end(), HasMagnitudes);
  return shared ? ResultRows::kSharedIfCopied : ResultRows::kApart;
}

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static variable_list forward(AutogradContext* context, const Tensor& x_NI, at::TensorList handles,
                               LinearsCall call) {
    const std::vector<LinearLayer>& layers = call.layers;
    const std::vector<Tensor> down_NR = LoraDownProjections(x_NI, layers);
    std::vector<FusedGemm> gemms;
    for (size_t i = 0; i < layers.size(); ++i) {
      gemms.push_back(OutputGemm(x_NI, layers[i], down_NR[i], {}));
      if (call.epilogue == nullptr && !HasMagnitudes(layers[i])) gemms.back().type = x_NI.scalar_type();
    }
    variable_list results = Compute(gemms, OutputRows(call)), rest;
    SavedPass pass = SavedOf(x_NI, layers, down_NR);
    Magnify(layers, {}, results, pass);
    if (call.epilogue == nullptr) {
      for (Tensor& result : results) result = result.to(x_NI.scalar_type());
    }
    if (call.epilogue != nullptr) {
      results = call.epilogue->Forward(results, x_NI.scalar_type(), call.has_backward ? &rest : nullptr);
    }
    if (call.has_backward) {
      variable_list saved = pass.ToList(call.saved_dtype);
      for (const Tensor& value : rest) saved.push_back(Narrowed(value, call.saved_dtype));
      context->save_for_backward(saved);
    }
    SaveInContext(context, std::move(call));
    return results;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const LinearsCall& call = SavedInContext<LinearsCall>(context);
    const std::vector<LinearLayer>& layers = call.layers;
    variable_list result(2 + kHandles * layers.size()), rest;
    const SavedPass saved = SavedPass::Of(context->get_saved_variables(), layers.size(), &rest);
    if (call.epilogue != nullptr) {
      variable_list widened;
      for (const Tensor& value : rest) widened.push_back(value.to(gradients[0].scalar_type()));
      gradients = call.epilogue->Backward(gradients, widened);
    }
    // Those of results that are wider than x are multiplied in x's type all the same.
    for (Tensor& gradient : gradients) gradient = gradient.contiguous().to(call.input_type);
    const Gradients layer_gradients(context, layers, gradients, saved);
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
    SavedPass pass = SavedOf(x_NI, layers, down_NR);
    variable_list results;
    // The gradient of magnitudes needs the product whatever the caller reads.
    if (output != ForwardOutput::kSkipped || HasMagnitudes(layer)) {
      results = {Compute(OutputGemm(x_NI, layer, down_NR[0], residual_NO.contiguous()))};
      Magnify(layers, residual_NO, results, pass);
    }
    context->save_for_backward(pass.ToList(saved_dtype));
    context->saved_data["type"] = x_NI.scalar_type();
    SaveInContext(context, layers);
    return results.empty() ? at::zeros({1}, residual_NO.options()).expand(residual_NO.sizes()) : results[0];
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& layers = SavedInContext<std::vector<LinearLayer>>(context);
    variable_list result(5 + kHandles);
    result[0] = gradients[0];
    const Tensor dy_NO = gradients[0].contiguous().to(context->saved_data["type"].toScalarType());
    const Gradients layer_gradients(context, layers, {dy_NO},
                                    SavedPass::Of(context->get_saved_variables(), layers.size()));
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
