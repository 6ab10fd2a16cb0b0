// AdamW whose moments have 8 bits, wherever they lie (kernels/adamw_8bit/adamw_8bit.h).
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ft::ops {

// Weights that share the scale of their moments.
inline constexpr int64_t kAdamW8bitBlock = 256;

// Settings of AdamW, and what changes from step to step.
struct AdamWStep {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  int64_t steps = 1;  // Done with this one.
};

// Moments of N weights: uint8 [N], and of each block of weights, the last may be short, the largest: float32 [blocks].
struct Moments8bit {
  torch::Tensor first_N, first_absmax, second_N, second_absmax;
};

// Updates float32 values and moments in place. REQUIRES: contiguous, all on one device.
void AdamW8bit(const AdamWStep& step, const torch::Tensor& values_N, const torch::Tensor& gradients_N,
               const Moments8bit& moments);

}  // namespace ft::ops
