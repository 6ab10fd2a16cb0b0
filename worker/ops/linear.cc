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

struct LinearWeights {
  const WeightSlot* weight;
  const WeightSlot* bias;
};

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_NI, const Tensor& weight_handle,
                        const Tensor& bias_handle, LinearWeights weights) {
    Hold(context, weights);
    if (weight_handle.requires_grad()) context->save_for_backward({x_NI});
    const Tensor weight_OI = weights.weight->Materialise(x_NI.scalar_type());
    if (weights.bias == nullptr) return at::mm(x_NI, weight_OI.t());
    return at::addmm(weights.bias->Materialise(x_NI.scalar_type()), x_NI, weight_OI.t());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Tensor dy_NO = gradients[0].contiguous();
    const LinearWeights& weights = GetHeld<LinearWeights>(context);
    variable_list result(4);
    if (context->needs_input_grad(0)) {
      result[0] = at::mm(dy_NO, weights.weight->Materialise(dy_NO.scalar_type()));
    }
    if (context->needs_input_grad(1)) {
      result[1] = at::mm(dy_NO.t(), context->get_saved_variables()[0]).to(torch::kFloat);
    }
    if (context->needs_input_grad(2)) result[2] = SumRows(dy_NO);
    return result;
  }
};

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

struct LoraCall {
  LoraSlots lora;
  DropoutPlace place;
};

struct LoraFunction : torch::autograd::Function<LoraFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_NI, const Tensor& a_handle,
                        const Tensor& b_handle, LoraCall call) {
    const at::ScalarType type = call.lora.compute;
    const Tensor dropped_NI = Drops(call.place) ? ApplyDropout(x_NI, call.place) : x_NI;
    const Tensor middle_NR = at::mm(dropped_NI.to(type), call.lora.a_RI->Materialise(type).t());
    context->save_for_backward({x_NI, middle_NR});
    Tensor delta_NO = at::mm(middle_NR, call.lora.b_OR->Materialise(type).t()).mul_(call.lora.scale);
    Hold(context, std::move(call));
    return delta_NO;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const LoraCall& call = GetHeld<LoraCall>(context);
    const at::ScalarType type = call.lora.compute;
    const variable_list saved = context->get_saved_variables();
    const Tensor& x_NI = saved[0];
    const Tensor& middle_NR = saved[1];
    const Tensor dy_NO = at::mul(gradients[0], call.lora.scale);
    const Tensor dmiddle_NR = at::mm(dy_NO, call.lora.b_OR->Materialise(type));
    variable_list result(4);
    if (context->needs_input_grad(0)) {
      const Tensor dx_NI = at::mm(dmiddle_NR, call.lora.a_RI->Materialise(type)).to(x_NI.scalar_type());
      result[0] = Drops(call.place) ? ApplyDropout(dx_NI, call.place) : dx_NI;
    }
    if (context->needs_input_grad(1)) {
      const Tensor dropped_NI = Drops(call.place) ? ApplyDropout(x_NI, call.place) : x_NI;
      result[1] = at::mm(dmiddle_NR.t(), dropped_NI.to(type)).to(torch::kFloat);
    }
    if (context->needs_input_grad(2)) result[2] = at::mm(dy_NO.t(), middle_NR).to(torch::kFloat);
    return result;
  }
};

}  // namespace

Tensor Linear(const Tensor& x_NI, const WeightSlot& weight, const WeightSlot* bias) {
  const Tensor no_bias = bias == nullptr ? torch::empty({0}) : bias->handle();
  return LinearFunction::apply(x_NI, weight.handle(), no_bias, LinearWeights{&weight, bias});
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

Tensor LoraDelta(const Tensor& x_NI, const LoraSlots& lora, const DropoutPlace& place) {
  return LoraFunction::apply(x_NI, lora.a_RI->handle(), lora.b_OR->handle(), LoraCall{lora, place});
}

}  // namespace ft::ops
