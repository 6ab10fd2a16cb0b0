// AdamW whose moments have 8 bits, wherever they lie (kernels/adamw_8bit/adamw_8bit.h).
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "worker/model/ops/adamw.h"

namespace ft::ops {

// Weights that share the scale of their moments.
inline constexpr int64_t kAdamW8bitBlock = 256;

// Moments of N weights: uint8 [N], and of each block of weights, the last may be short, the largest: float32 [blocks].
struct Moments8bit {
  torch::Tensor first_N, first_absmax, second_N, second_absmax;
};

// Updates float32 values and moments in place. REQUIRES: contiguous, all on one device.
void AdamW8bit(const AdamWStep& step, const torch::Tensor& values_N, const torch::Tensor& gradients_N,
               const Moments8bit& moments);

}  // namespace ft::ops
