#include "worker/model/ops/norm.h"

#include "worker/model/ops/joined_rows.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"
#include "worker/model/ops/saved_context.h"

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
  Tensor Weight() const {
    const Tensor stored = weight->Materialise(torch::kFloat);
    return options.plus_one ? stored + 1 : stored;
  }
};

// A layer norm is an RMS norm of what is left of a row without its mean.
Tensor Centred(const Tensor& x_NC) { return x_NC - x_NC.mean(1, /*keepdim=*/true); }

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_NC, const Tensor& weight_handle,
                        const Tensor& bias_handle, NormCall call) {
    const NormOptions& options = call.options;
    const Tensor x = options.centred ? Centred(x_NC) : x_NC.contiguous();
    const Tensor weight = call.Weight();
    const auto result = [&](at::ScalarType type, int64_t room) {
      return RowsWithRoom(x.size(0), x.size(1), room, x.options().dtype(type));
    };
    // With a bias the sum is rounded, not the product.
    const bool has_bias = options.bias_C != nullptr;
    const at::ScalarType type = has_bias ? at::kFloat : options.output;
    const Tensor y = result(type, has_bias ? 0 : options.room);
    Tensor scale = torch::empty({x.size(0)}, x.options());
    WithType(type, [&](auto typed) {
      using T = decltype(typed);
      Launch(x, &KernelsOf<T>::rms_norm_forward,
             {call.Shape(x), x.size(0), Data<float>(x), Data<float>(weight), MutableRowData<T>(y),
              MutableData<float>(scale), y.stride(0)});
    });
    context->save_for_backward({x, scale});
    SaveInContext(context, call);
    if (!has_bias) return y;
    y.add_(options.bias_C->Materialise(torch::kFloat));
    return options.room == 0 ? y.to(options.output) : result(options.output, options.room).copy_(y);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const NormCall& call = SavedInContext<NormCall>(context);
    const variable_list saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor dy = gradients[0].contiguous();
    const Tensor weight = call.Weight();
    variable_list result(4);
    WithType(dy.scalar_type(), [&](auto type) {
      using T = decltype(type);
      const kernels::RmsNormGradient<T> in{Data<float>(x), Data<T>(dy), Data<float>(weight),
                                           Data<float>(saved[1])};
      if (context->needs_input_grad(0)) {
        result[0] = torch::empty_like(x);
        Launch(x, &KernelsOf<T>::rms_norm_backward,
               {call.Shape(x), x.size(0), in, MutableData<float>(result[0])});
      }
      if (context->needs_input_grad(1)) {
        result[1] = torch::empty({x.size(1)}, x.options());
        Launch(x, &KernelsOf<T>::rms_norm_weight_gradient,
               {call.Shape(x), x.size(0), in, MutableData<float>(result[1])});
      }
      if (context->needs_input_grad(2)) {
        result[2] = torch::empty({x.size(1)}, x.options());
        Launch(x, &KernelsOf<T>::column_sum,
               {x.size(0), x.size(1), Data<T>(dy), MutableData<float>(result[2])});
      }
    });
    if (call.options.centred && result[0].defined()) result[0] = Centred(result[0]);
    return result;
  }
};

}  // namespace

Tensor RmsNorm(const Tensor& x_NC, const WeightSlot& weight_C, const NormOptions& options) {
  FT_CHECK(x_NC.scalar_type() == torch::kFloat);
  const Tensor bias_handle = options.bias_C == nullptr ? torch::empty({0}) : options.bias_C->handle();
  return RmsNormFunction::apply(x_NC, weight_C.handle(), bias_handle, NormCall{&weight_C, options});
}

}  // namespace ft::ops
