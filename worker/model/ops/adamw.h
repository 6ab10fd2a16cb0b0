// AdamW over float32 moments, equal to torch.optim.AdamW, wherever they lie.
#pragma once

#include <torch/types.h>

#include "kernels/adamw/adamw.h"

namespace ft::ops {

using kernels::AdamWStep;

// Updates N float32 values and moments in place: on the CPU by kernels/adamw/adamw.h, on other devices by LibTorch's fused kernel.
// REQUIRES: contiguous, all on one device.
void AdamW(const AdamWStep& step, const torch::Tensor& values_N, const torch::Tensor& gradients_N,
           const torch::Tensor& first_moments_N, const torch::Tensor& second_moments_N);

}  // namespace ft::ops
