#include "worker/ops/linear.h"

#include <algorithm>
#include <utility>

#include "worker/ops/cuda_kernels.h"
#include "worker/ops/held.h"
#include "worker/ops/kernel_call.h"
#include "worker/ops/wide_product.h"

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
    if (values_NC.is_cuda()) {
      return LaunchCuda(CudaOf<T>().column_sum,
                        {rows, channels, Data<T>(values_NC), MutableData<float>(sum)});
    }
    OverRows(channels, rows, [&](int64_t first, int64_t last) {
      kernels::ColumnSum<T>(rows, channels, first, last, Data<T>(values_NC), MutableData<float>(sum));
    });
  });
  return sum;
}

Tensor ApplyDropout(const Tensor& x_NC, const DropoutPlace& place) {
  const Tensor x = x_NC.contiguous();
  Tensor y = torch::empty_like(x);
  const kernels::DropoutShape shape{.key = place.rows->key,
                                    .sample = Data<uint64_t>(place.rows->sample_N),
                                    .position = Data<int64_t>(place.rows->position_N),
                                    .layer = place.layer,
                                    .site = place.site,
                                    .channels = x.size(1),
                                    .probability = place.probability};
  FT_CHECK(x.size(0) == place.rows->sample_N.size(0));
  WithType(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    if (x.is_cuda()) {
      return LaunchCuda(CudaOf<T>().dropout, {shape, x.size(0), Data<T>(x), MutableData<T>(y)});
    }
    OverRows(x.size(0), x.size(1) * 4, [&](int64_t first, int64_t last) {
      kernels::Dropout<T>(shape, first, last, Data<T>(x), MutableData<T>(y));
    });
  });
  return y;
}

bool Drops(const DropoutPlace& place) { return place.rows != nullptr && place.probability > 0; }

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_NC, DropoutPlace place) {
    Hold(context, place);
    return ApplyDropout(x_NC, place);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {ApplyDropout(gradients[0], GetHeld<DropoutPlace>(context)), Tensor()};
  }
};

// x as the adapter sees it.
Tensor AdapterInput(const Tensor& x_NI, const LinearLayer& layer) {
  const Tensor dropped_NI = Drops(layer.place) ? ApplyDropout(x_NI, layer.place) : x_NI;
  return dropped_NI.to(layer.lora->compute);
}

// y += a b, in y's type, rounded once where the product's type is y's.
void AddProduct(Tensor& y, const Tensor& a, const Tensor& b) {
  if (a.scalar_type() == y.scalar_type()) {
    y.addmm_(a, b);
  } else {
    y.add_(at::mm(a, b));
  }
}

// What a layer's gradient goes through: weight, bias, A, B. Handles that do not exist ask for no gradient.
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

// Adds the gradients that one layer's output gives: of the input to result[input], of the handles to result[handle...].
// An index of `result` is that of autograd's inputs.
class LayerGradients {
 public:
  LayerGradients(AutogradContext* context, size_t input, variable_list& result)
      : context_(context), input_(input), result_(result) {}

  // `x_NI` as saved, and the adapter's scaled middle; dy in the type that the layer multiplies in.
  void Add(const LinearLayer& layer, size_t handle, const Tensor& dy_NO, const Tensor& x_NI, const Tensor& middle_NR) {
    if (Needs(input_)) AddInputGradient(dy_NO, layer);
    if (Needs(handle)) result_[handle] = at::mm(dy_NO.t(), x_NI).to(torch::kFloat);
    if (Needs(handle + 1)) result_[handle + 1] = SumRows(dy_NO);
    if (layer.lora == nullptr) return;
    const Tensor dy = dy_NO.to(layer.lora->compute);
    const Tensor dmiddle_NR =
        at::mm(dy, layer.lora->b_OR->Materialise(layer.lora->compute)).mul_(layer.lora->scale);
    if (Needs(input_)) AddAdapterInputGradient(dmiddle_NR, layer);
    if (Needs(handle + 2)) {
      result_[handle + 2] = at::mm(dmiddle_NR.t(), AdapterInput(x_NI, layer)).to(torch::kFloat);
    }
    if (Needs(handle + 3)) result_[handle + 3] = at::mm(dy.t(), middle_NR).to(torch::kFloat);
  }

 private:
  bool Needs(size_t index) const { return context_->needs_input_grad(index); }

  void AddInputGradient(const Tensor& dy_NO, const LinearLayer& layer) {
    const Tensor weight_OI = layer.weight_OI->Materialise(dy_NO.scalar_type());
    if (result_[input_].defined()) {
      result_[input_].addmm_(dy_NO, weight_OI);
    } else {
      result_[input_] = at::mm(dy_NO, weight_OI);
    }
  }

  void AddAdapterInputGradient(const Tensor& dmiddle_NR, const LinearLayer& layer) {
    Tensor& dx_NI = result_[input_];
    const Tensor a_RI = layer.lora->a_RI->Materialise(layer.lora->compute);
    if (!Drops(layer.place)) return AddProduct(dx_NI, dmiddle_NR, a_RI);
    dx_NI.add_(ApplyDropout(at::mm(dmiddle_NR, a_RI).to(dx_NI.scalar_type()), layer.place));
  }

  AutogradContext* context_;
  const size_t input_;
  variable_list& result_;
};

bool ReadsInputInBackward(const LinearLayer& layer) { return layer.lora != nullptr || layer.weight_OI->trainable(); }

// scale * A(dropout(x)), in the adapter's type.
Tensor AdapterMiddle(const Tensor& x_NI, const LinearLayer& layer) {
  const LoraSlots& lora = *layer.lora;
  return at::mm(AdapterInput(x_NI, layer), lora.a_RI->Materialise(lora.compute).t()).mul_(lora.scale);
}

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static variable_list forward(AutogradContext* context, const Tensor& x_NI, at::TensorList handles,
                               std::vector<LinearLayer> layers) {
    variable_list outputs, saved = {Tensor()};
    for (const LinearLayer& layer : layers) {
      if (ReadsInputInBackward(layer)) saved[0] = x_NI;
      outputs.push_back(Output(x_NI, layer, saved));
    }
    context->save_for_backward(saved);
    Hold(context, std::move(layers));
    return outputs;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& layers = GetHeld<std::vector<LinearLayer>>(context);
    const variable_list saved = context->get_saved_variables();
    variable_list result(2 + kHandles * layers.size());
    LayerGradients add(context, 0, result);
    size_t middle = 1;
    for (size_t i = 0; i < layers.size(); ++i) {
      const Tensor middle_NR = layers[i].lora == nullptr ? Tensor() : saved[middle++];
      add.Add(layers[i], 1 + kHandles * i, gradients[i].contiguous(), saved[0], middle_NR);
    }
    return result;
  }

 private:
  // Appends an adapter's middle to `saved`.
  static Tensor Output(const Tensor& x_NI, const LinearLayer& layer, variable_list& saved) {
    const at::ScalarType type = x_NI.scalar_type();
    const Tensor weight_OI = layer.weight_OI->Materialise(type);
    Tensor y_NO = layer.bias_O == nullptr ? at::mm(x_NI, weight_OI.t())
                                          : at::addmm(layer.bias_O->Materialise(type), x_NI, weight_OI.t());
    if (layer.lora == nullptr) return y_NO;
    const LoraSlots& lora = *layer.lora;
    saved.push_back(AdapterMiddle(x_NI, layer));
    AddProduct(y_NO, saved.back(), lora.b_OR->Materialise(lora.compute).t());
    return y_NO;
  }
};

struct AddLinearFunction : torch::autograd::Function<AddLinearFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& residual_NO, const Tensor& x_NI,
                        at::TensorList handles, LinearLayer layer, ValuesAre values) {
    const Tensor middle_NR = layer.lora == nullptr ? Tensor() : AdapterMiddle(x_NI, layer);
    context->save_for_backward({ReadsInputInBackward(layer) ? x_NI : Tensor(), middle_NR});
    context->saved_data["type"] = x_NI.scalar_type();
    Hold(context, layer);
    if (values == ValuesAre::kUnused) return at::zeros({1}, residual_NO.options()).expand(residual_NO.sizes());
    const at::ScalarType type = x_NI.scalar_type();
    Tensor y_NO = layer.bias_O == nullptr ? residual_NO.clone()
                                          : at::add(residual_NO, layer.bias_O->Materialise(at::kFloat));
    AddWideProduct(y_NO, x_NI, layer.weight_OI->Materialise(type));
    if (middle_NR.defined()) {
      AddWideProduct(y_NO, middle_NR, layer.lora->b_OR->Materialise(layer.lora->compute));
    }
    return y_NO;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& layer = GetHeld<LinearLayer>(context);
    const variable_list saved = context->get_saved_variables();
    variable_list result(4 + kHandles);
    result[0] = gradients[0];
    LayerGradients add(context, 1, result);
    add.Add(layer, 2, gradients[0].contiguous().to(context->saved_data["type"].toScalarType()), saved[0], saved[1]);
    return result;
  }
};

}  // namespace

std::vector<Tensor> Linears(const Tensor& x_NI, const std::vector<LinearLayer>& layers) {
  const variable_list handles = Handles(layers);
  return LinearFunction::apply(x_NI, at::TensorList(handles), layers);
}

Tensor Linear(const Tensor& x_NI, const LinearLayer& layer) { return Linears(x_NI, {layer})[0]; }

Tensor AddLinear(const Tensor& residual_NO, const Tensor& x_NI, const LinearLayer& layer, ValuesAre values) {
  FT_CHECK(residual_NO.scalar_type() == at::kFloat) << residual_NO.scalar_type();
  const variable_list handles = Handles({layer});
  return AddLinearFunction::apply(residual_NO, x_NI, at::TensorList(handles), layer, values);
}

std::shared_ptr<const DropoutRows> MakeDropoutRows(uint64_t seed, uint64_t step,
                                                   const std::vector<uint64_t>& sample,
                                                   const std::vector<int64_t>& position, at::Device device) {
  // The keys' bits; no tensor operation ever computes with them.
  Tensor keys = torch::empty({static_cast<int64_t>(sample.size())}, torch::kInt64);
  std::copy(sample.begin(), sample.end(), MutableData<uint64_t>(keys));
  return std::make_shared<const DropoutRows>(DropoutRows{kernels::PhiloxKey(seed, step), keys.to(device),
                                                         torch::tensor(position, torch::kInt64).to(device)});
}

Tensor Dropout(const Tensor& x_NC, const DropoutPlace& place) {
  return Drops(place) ? DropoutFunction::apply(x_NC, place) : x_NC;
}

}  // namespace ft::ops
