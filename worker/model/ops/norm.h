// RMS norm and layer norm over weight slots.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "worker/model/ops/weight_slot.h"

namespace ft::ops {

struct NormOptions {
  double epsilon = 1e-6;
  at::ScalarType output = at::kFloat;  // What the linear layers behind it compute in.
  bool plus_one = false;               // Multiplies by 1 + weight.
  bool centred = false;                // Each row less its mean: with a bias, a layer norm.
  const WeightSlot* bias_C = nullptr;
  int64_t room = 0;  // Values left free behind each row of the result (joined_rows.h).
};

// The norm of the float32 residual stream, computed in float32 and rounded to the output type once. Saves x
// and one number a row; the weight is read in float32 and materialised again in backward.
torch::Tensor RmsNorm(const torch::Tensor& x_NC, const WeightSlot& weight_C, const NormOptions& options);

}  // namespace ft::ops
