#include "worker/ops/linear.h"

#include <algorithm>
#include <utility>

#include "worker/ops/cuda_kernels.h"
#include "worker/ops/held.h"
#include "worker/ops/kernel_call.h"

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

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static variable_list forward(AutogradContext* context, const Tensor& x_NI, at::TensorList handles,
                               std::vector<LinearLayer> layers, ValuesAre values) {
    variable_list outputs, saved = {Tensor()};
    for (const LinearLayer& layer : layers) {
      if (layer.lora != nullptr || layer.weight_OI->trainable()) saved[0] = x_NI;
      outputs.push_back(Output(x_NI, layer, values, saved));
    }
    context->save_for_backward(saved);
    Hold(context, std::move(layers));
    return outputs;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& layers = GetHeld<std::vector<LinearLayer>>(context);
    const variable_list saved = context->get_saved_variables();
    variable_list result(3 + kHandles * layers.size());
    size_t middle = 1;
    for (size_t i = 0; i < layers.size(); ++i) {
      const LinearLayer& layer = layers[i];
      const size_t handle = 1 + kHandles * i;
      const Tensor dy_NO = gradients[i].contiguous();
      if (context->needs_input_grad(0)) AddInputGradient(dy_NO, layer, result[0]);
      if (context->needs_input_grad(handle)) result[handle] = at::mm(dy_NO.t(), saved[0]).to(torch::kFloat);
      if (context->needs_input_grad(handle + 1)) result[handle + 1] = SumRows(dy_NO);
      if (layer.lora == nullptr) continue;
      const Tensor& middle_NR = saved[middle++];
      const Tensor dy = dy_NO.to(layer.lora->compute);
      const Tensor dmiddle_NR =
          at::mm(dy, layer.lora->b_OR->Materialise(layer.lora->compute)).mul_(layer.lora->scale);
      if (context->needs_input_grad(0)) AddAdapterInputGradient(dmiddle_NR, layer, result[0]);
      if (context->needs_input_grad(handle + 2)) {
        result[handle + 2] = at::mm(dmiddle_NR.t(), AdapterInput(saved[0], layer)).to(torch::kFloat);
      }
      if (context->needs_input_grad(handle + 3))
        result[handle + 3] = at::mm(dy.t(), middle_NR).to(torch::kFloat);
    }
    return result;
  }

 private:
  // Appends an adapter's middle, scaled, to `saved`.
  static Tensor Output(const Tensor& x_NI, const LinearLayer& layer, ValuesAre values, variable_list& saved) {
    Tensor y_NO = values == ValuesAre::kUsed
                      ? WeightOutput(x_NI, layer)
                      : at::zeros({1}, x_NI.options()).expand({x_NI.size(0), layer.weight_OI->shape()[0]});
    if (layer.lora == nullptr) return y_NO;
    const LoraSlots& lora = *layer.lora;
    Tensor middle_NR =
        at::mm(AdapterInput(x_NI, layer), lora.a_RI->Materialise(lora.compute).t()).mul_(lora.scale);
    if (values == ValuesAre::kUsed) AddProduct(y_NO, middle_NR, lora.b_OR->Materialise(lora.compute).t());
    saved.push_back(std::move(middle_NR));
    return y_NO;
  }

  static Tensor WeightOutput(const Tensor& x_NI, const LinearLayer& layer) {
    const at::ScalarType type = x_NI.scalar_type();
    const Tensor weight_OI = layer.weight_OI->Materialise(type);
    if (layer.bias_O == nullptr) return at::mm(x_NI, weight_OI.t());
    return at::addmm(layer.bias_O->Materialise(type), x_NI, weight_OI.t());
  }

  static void AddInputGradient(const Tensor& dy_NO, const LinearLayer& layer, Tensor& dx_NI) {
    const Tensor weight_OI = layer.weight_OI->Materialise(dy_NO.scalar_type());
    if (dx_NI.defined()) {
      dx_NI.addmm_(dy_NO, weight_OI);
    } else {
      dx_NI = at::mm(dy_NO, weight_OI);
    }
  }

  static void AddAdapterInputGradient(const Tensor& dmiddle_NR, const LinearLayer& layer, Tensor& dx_NI) {
    const Tensor a_RI = layer.lora->a_RI->Materialise(layer.lora->compute);
    if (!Drops(layer.place)) return AddProduct(dx_NI, dmiddle_NR, a_RI);
    dx_NI.add_(ApplyDropout(at::mm(dmiddle_NR, a_RI).to(dx_NI.scalar_type()), layer.place));
  }
};

}  // namespace

std::vector<Tensor> Linears(const Tensor& x_NI, const std::vector<LinearLayer>& layers, ValuesAre values) {
  const variable_list handles = Handles(layers);
  return LinearFunction::apply(x_NI, at::TensorList(handles), layers, values);
}

Tensor Linear(const Tensor& x_NI, const LinearLayer& layer) { return Linears(x_NI, {layer})[0]; }

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
