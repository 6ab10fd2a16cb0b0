#include "worker/model/ops/adamw_8bit.h"

#include <cmath>

#include "core/base/check.h"
#include "worker/model/ops/dynamic_map.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"

namespace ft::ops {
namespace {

static_assert(kAdamW8bitBlock == kernels::kAdamW8bitBlock);

kernels::AdamW8bitStep NumbersOf(const AdamWStep& step) {
  const auto t = static_cast<double>(step.steps);
  const double root = std::sqrt(1 - std::pow(step.beta2, t));
  return {.beta1 = static_cast<float>(step.beta1),
          .rest1 = static_cast<float>(1 - step.beta1),
          .beta2 = static_cast<float>(step.beta2),
          .rest2 = static_cast<float>(1 - step.beta2),
          .rate = static_cast<float>(step.lr * root / (1 - std::pow(step.beta1, t))),
          .eps = static_cast<float>(step.eps * root),
          .decay = static_cast<float>(1 - step.lr * step.weight_decay)};
}

}  // namespace

void AdamW8bit(const AdamWStep& step, const torch::Tensor& values_N, const torch::Tensor& gradients_N,
               const Moments8bit& moments) {
  const int64_t count = values_N.numel(), blocks = kernels::AdamW8bitBlocks(count);
  FT_CHECK(gradients_N.numel() == count && moments.first_N.numel() == count &&
           moments.second_N.numel() == count);
  FT_CHECK(moments.first_absmax.numel() == blocks && moments.second_absmax.numel() == blocks);
  const DynamicMaps maps = DynamicMapsOn(values_N.device());
  const kernels::AdamW8bitArrays arrays{.values = MutableData<float>(values_N),
                                        .gradients = Data<float>(gradients_N),
                                        .count = count,
                                        .first = MutableData<uint8_t>(moments.first_N),
                                        .first_absmax = MutableData<float>(moments.first_absmax),
                                        .second = MutableData<uint8_t>(moments.second_N),
                                        .second_absmax = MutableData<float>(moments.second_absmax)};
  Launch(values_N, &KernelTable::adamw_8bit,
         {NumbersOf(step), arrays, Data<float>(maps.signed_map), Data<float>(maps.unsigned_map)});
}

}  // namespace ft::ops
