#include "worker/ops/norm.h"

#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "worker/ops/held.h"
#include "worker/ops/kernel_call.h"

namespace ft::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct NormCall {
  const WeightSlot* weight;
  NormOptions options;

  kernels::RmsNormShape Shape(const Tensor& x) const {
    return {x.size(1), static_cast<float>(options.epsilon)};
  }
};

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_NC, const Tensor& weight_handle,
                        NormCall call) {
    const Tensor x = x_NC.contiguous();
    const Tensor weight = call.weight->Materialise(torch::kFloat);
    Tensor y = torch::empty_like(x);
    Tensor scale = torch::empty({x.size(0)}, torch::kFloat);
    OverRows(x.size(0), x.size(1), [&](int64_t first, int64_t last) {
      kernels::RmsNormForward<float>(call.Shape(x), first, last, Data<float>(x), Data<float>(weight),
                                     MutableData<float>(y), MutableData<float>(scale));
    });
    context->save_for_backward({x, scale});
    Hold(context, call);
    return y.to(call.options.output);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const NormCall& call = GetHeld<NormCall>(context);
    const variable_list saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor dy = gradients[0].to(torch::kFloat).contiguous();
    const Tensor weight = call.weight->Materialise(torch::kFloat);
    const kernels::RmsNormGradient<float> in{Data<float>(x), Data<float>(dy), Data<float>(weight),
                                             Data<float>(saved[1])};
    variable_list result(3);
    if (context->needs_input_grad(0)) {
      result[0] = torch::empty_like(x);
      OverRows(x.size(0), x.size(1), [&](int64_t first, int64_t last) {
        kernels::RmsNormBackward<float>(call.Shape(x), first, last, in, MutableData<float>(result[0]));
      });
    }
    if (context->needs_input_grad(1)) {
      result[1] = torch::empty({x.size(1)}, torch::kFloat);
      OverRows(x.size(1), x.size(0), [&](int64_t first, int64_t last) {
        kernels::RmsNormWeightGradient<float>(call.Shape(x), x.size(0), first, last, in,
                                              MutableData<float>(result[1]));
      });
    }
    return result;
  }
};

Tensor Turn(const Tensor& x_NHD, const RopeTable& table, float direction) {
  const Tensor x = x_NHD.contiguous();
  Tensor y = torch::empty_like(x);
  const kernels::RopeShape shape{x.size(1), x.size(2)};
  WithType(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    OverRows(x.size(0), x.size(1) * x.size(2), [&](int64_t first, int64_t last) {
      kernels::Rope<T>(shape, first, last, Data<float>(table.cosine_NP), Data<float>(table.sine_NP),
                       direction, Data<T>(x), MutableData<T>(y));
    });
  });
  return y;
}

struct RopeFunction : torch::autograd::Function<RopeFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_NHD, RopeTable table) {
    Hold(context, table);
    return Turn(x_NHD, table, 1);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {Turn(gradients[0], GetHeld<RopeTable>(context), -1), Tensor()};
  }
};

struct SiluGateFunction : torch::autograd::Function<SiluGateFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& gate_NF, const Tensor& up_NF) {
    context->save_for_backward({gate_NF, up_NF});
    return at::silu(gate_NF).mul_(up_NF);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor dup = at::silu(saved[0]).mul_(gradients[0]);
    return {at::silu_backward(at::mul(gradients[0], saved[1]), saved[0]), dup};
  }
};

}  // namespace

Tensor RmsNorm(const Tensor& x_NC, const WeightSlot& weight_C, const NormOptions& options) {
  FT_CHECK(x_NC.scalar_type() == torch::kFloat);
  return RmsNormFunction::apply(x_NC, weight_C.handle(), NormCall{&weight_C, options});
}

Tensor Rope(const Tensor& x_NHD, const RopeTable& table) { return RopeFunction::apply(x_NHD, table); }

Tensor SiluGate(const Tensor& gate_NF, const Tensor& up_NF) {
  return SiluGateFunction::apply(gate_NF, up_NF);
}

}  // namespace ft::ops
