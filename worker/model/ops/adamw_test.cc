#include "worker/model/ops/adamw.h"

#include "gtest/gtest.h"

namespace ft::ops {
namespace {

using torch::Tensor;

// Ledgers and checkpoints of jobs that LibTorch's kernel updated hold its bits, and so do tensors that are no multiple of its vectors.
TEST(AdamW, HasTheBitsOfLibTorchsFusedKernel) {
  const AdamWStep usual{.lr = 1e-3, .weight_decay = 0.1}, plain{.lr = 2e-5},
      unusual{.lr = 0.03, .beta1 = 0.3, .beta2 = 0.7, .eps = 1e-3, .weight_decay = 0.017};
  torch::manual_seed(5);
  for (AdamWStep step : {usual, plain, unusual}) {
    for (const int64_t count : {3, 8, 41, 4096, 100'003}) {
      const Tensor values = torch::randn({count}), first = torch::zeros({count}),
                   second = torch::zeros({count});
      const Tensor values2 = values.clone(), first2 = first.clone(), second2 = second.clone();
      for (const int64_t steps : {1, 2, 3, 1000, 20'000'001}) {
        step.steps = steps;
        // Some gradients whose squares are zero or less than the least normal number.
        const Tensor gradients = torch::randn({count}) * torch::pow(10.0, torch::randint(-30, 3, {count}));
        AdamW(step, values, gradients, first, second);
        at::_fused_adamw_({values2}, {gradients}, {first2}, {second2}, {},
                          {torch::full({}, static_cast<double>(steps))}, step.lr, step.beta1, step.beta2,
                          step.weight_decay, step.eps, /*amsgrad=*/false, /*maximize=*/false);
        ASSERT_TRUE(torch::equal(first, first2)) << count << " weights, step " << steps;
        ASSERT_TRUE(torch::equal(second, second2)) << count << " weights, step " << steps;
        ASSERT_TRUE(torch::equal(values, values2)) << count << " weights, step " << steps;
      }
    }
  }
}

}  // namespace
}  // namespace ft::ops
