#include "worker/ops/norm.h"

#include "worker/ops/cuda_kernels.h"
#include "worker/ops/held.h"
#include "worker/ops/kernel_call.h"

namespace ft::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Of one value of the gate, beside one of a norm: an exponential and a division.
constexpr int64_t kGateWork = 4;

struct NormCall {
  const WeightSlot* weight;
  NormOptions options;

  kernels::RmsNormShape Shape(const Tensor& x) const {
    return {x.size(1), static_cast<float>(options.epsilon)};
  }
};

template <typename T>
void NormForward(const kernels::RmsNormForwardBody<T>& body, bool cuda) {
  if (cuda) return LaunchCuda(CudaOf<T>().rms_norm_forward, body);
  OverRows(body.rows, body.shape.channels, [&](int64_t first, int64_t last) {
    kernels::RmsNormForward<T>(body.shape, first, last, body.x, body.weight, body.y, body.scale);
  });
}

template <typename T>
void NormBackward(const kernels::RmsNormBackwardBody<T>& body, bool cuda) {
  if (cuda) return LaunchCuda(CudaOf<T>().rms_norm_backward, body);
  OverRows(body.rows, body.shape.channels, [&](int64_t first, int64_t last) {
    kernels::RmsNormBackward<T>(body.shape, first, last, body.in, body.dx);
  });
}

template <typename T>
void NormWeightGradient(const kernels::RmsNormWeightGradientBody<T>& body, bool cuda) {
  if (cuda) return LaunchCuda(CudaOf<T>().rms_norm_weight_gradient, body);
  OverRows(body.shape.channels, body.rows, [&](int64_t first, int64_t last) {
    kernels::RmsNormWeightGradient<T>(body.shape, body.rows, first, last, body.in, body.dweight);
  });
}

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_NC, const Tensor& weight_handle,
                        NormCall call) {
    const Tensor x = x_NC.contiguous();
    const Tensor weight = call.weight->Materialise(torch::kFloat);
    Tensor y = torch::empty_like(x, x.options().dtype(call.options.output));
    Tensor scale = torch::empty({x.size(0)}, x.options());
    WithType(call.options.output, [&](auto type) {
      using T = decltype(type);
      NormForward<T>({call.Shape(x), x.size(0), Data<float>(x), Data<float>(weight), MutableData<T>(y),
                      MutableData<float>(scale)},
                     x.is_cuda());
    });
    context->save_for_backward({x, scale});
    Hold(context, call);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const NormCall& call = GetHeld<NormCall>(context);
    const variable_list saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor dy = gradients[0].contiguous();
    const Tensor weight = call.weight->Materialise(torch::kFloat);
    variable_list result(3);
    WithType(dy.scalar_type(), [&](auto type) {
      using T = decltype(type);
      const kernels::RmsNormGradient<T> in{Data<float>(x), Data<T>(dy), Data<float>(weight),
                                           Data<float>(saved[1])};
      if (context->needs_input_grad(0)) {
        result[0] = torch::empty_like(x);
        NormBackward<T>({call.Shape(x), x.size(0), in, MutableData<float>(result[0])}, x.is_cuda());
      }
      if (context->needs_input_grad(1)) {
        result[1] = torch::empty({x.size(1)}, x.options());
        NormWeightGradient<T>({call.Shape(x), x.size(0), in, MutableData<float>(result[1])}, x.is_cuda());
      }
    });
    return result;
  }
};

template <typename T>
void TurnRows(const kernels::RopeBody<T>& body, bool cuda) {
  if (cuda) return LaunchCuda(CudaOf<T>().rope, body);
  OverRows(body.rows, body.shape.heads * body.shape.head_size, [&](int64_t first, int64_t last) {
    kernels::Rope<T>(body.shape, first, last, body.cosine, body.sine, body.direction, body.x, body.y);
  });
}

Tensor Turn(const Tensor& x_NHD, const RopeTable& table, float direction) {
  const Tensor x = x_NHD.contiguous();
  Tensor y = torch::empty_like(x);
  WithType(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    TurnRows<T>({{x.size(1), x.size(2)},
                 x.size(0),
                 Data<float>(table.cosine_NP),
                 Data<float>(table.sine_NP),
                 direction,
                 Data<T>(x),
                 MutableData<T>(y)},
                x.is_cuda());
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

// kernels::Swiglu* over `count` values divided among threads.
template <typename T>
void GateForward(const kernels::SwigluForwardBody<T>& body, bool cuda) {
  if (cuda) return LaunchCuda(CudaOf<T>().swiglu_forward, body);
  OverRows(body.count, kGateWork, [&](int64_t first, int64_t last) {
    kernels::SwigluForward<T>(last - first, body.gate + first, body.up + first, body.y + first);
  });
}

template <typename T>
void GateBackward(const kernels::SwigluBackwardBody<T>& body, bool cuda) {
  if (cuda) return LaunchCuda(CudaOf<T>().swiglu_backward, body);
  OverRows(body.count, kGateWork, [&](int64_t first, int64_t last) {
    kernels::SwigluBackward<T>(last - first, {body.in.gate + first, body.in.up + first, body.in.dy + first},
                               body.dgate + first, body.dup + first);
  });
}

struct SiluGateFunction : torch::autograd::Function<SiluGateFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& gate_NF, const Tensor& up_NF) {
    const Tensor gate = gate_NF.contiguous(), up = up_NF.contiguous();
    context->save_for_backward({gate, up});
    Tensor y = torch::empty_like(gate);
    WithType(gate.scalar_type(), [&](auto type) {
      using T = decltype(type);
      GateForward<T>({gate.numel(), Data<T>(gate), Data<T>(up), MutableData<T>(y)}, gate.is_cuda());
    });
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &gate = saved[0], &up = saved[1];
    const Tensor dy = gradients[0].contiguous();
    Tensor dgate = torch::empty_like(gate), dup = torch::empty_like(up);
    WithType(gate.scalar_type(), [&](auto type) {
      using T = decltype(type);
      GateBackward<T>({gate.numel(),
                       {Data<T>(gate), Data<T>(up), Data<T>(dy)},
                       MutableData<T>(dgate),
                       MutableData<T>(dup)},
                      gate.is_cuda());
    });
    return {dgate, dup};
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
