// Row-wise operations of a decoder block: RMS norm over a weight slot, rotary positions, the gate of the MLP.
#pragma once

#include <torch/torch.h>

#include "worker/ops/weight_slot.h"

namespace ft::ops {

struct NormOptions {
  double epsilon = 1e-6;
  at::ScalarType output = at::kFloat;  // What the linear layers behind it compute in.
};

// Of the float32 residual stream; computed in float32 and rounded to the output type once. Saves x and one
// number a row; the weight is read in float32 and materialised again in backward.
torch::Tensor RmsNorm(const torch::Tensor& x_NC, const WeightSlot& weight_C, const NormOptions& options);

// The turning angles of a pass, float32, one row a token.
struct RopeTable {
  torch::Tensor cosine_NP;  // P = head size / 2.
  torch::Tensor sine_NP;
};

// x turned by its row's angles; saves nothing but the table.
torch::Tensor Rope(const torch::Tensor& x_NHD, const RopeTable& table);

// silu(gate) * up. Saves both inputs, computes in float32 inside.
torch::Tensor SiluGate(const torch::Tensor& gate_NF, const torch::Tensor& up_NF);

}  // namespace ft::ops
