#include "worker/model/ops/adamw.h"

#include <algorithm>

#include "core/base/check.h"
#include "worker/model/ops/kernel_call.h"

namespace ft::ops {

void AdamW(const AdamWStep& step, const torch::Tensor& values_N, const torch::Tensor& gradients_N,
           const torch::Tensor& first_moments_N, const torch::Tensor& second_moments_N) {
  if (!values_N.is_cpu()) {
    const torch::Tensor steps = torch::full({}, static_cast<double>(step.steps), gradients_N.options());
    at::_fused_adamw_({values_N}, {gradients_N}, {first_moments_N}, {second_moments_N},
                      /*max_exp_avg_sqs=*/{}, {steps}, step.lr, step.beta1, step.beta2, step.weight_decay,
                      step.eps, /*amsgrad=*/false,
                      /*maximize=*/false);
    return;
  }
  const int64_t count = values_N.numel(), units = (count + kernels::kAdamWUnit - 1) / kernels::kAdamWUnit;
  FT_CHECK(gradients_N.numel() == count && first_moments_N.numel() == count &&
           second_moments_N.numel() == count);
  const kernels::AdamWArrays arrays{.values = MutableData<float>(values_N),
                                    .gradients = Data<float>(gradients_N),
                                    .first = MutableData<float>(first_moments_N),
                                    .second = MutableData<float>(second_moments_N)};
  OverRows(units, kernels::kAdamWUnit, [&](int64_t first, int64_t last) {
    kernels::AdamW(step, arrays, first * kernels::kAdamWUnit, std::min(count, last * kernels::kAdamWUnit));
  });
}

}  // namespace ft::ops
