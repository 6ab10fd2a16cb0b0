// Row-wise operations of a decoder block: RMS norm over a weight slot, rotary positions, the gate of the MLP.
#pragma once

#include <torch/torch.h>

#include "worker/ops/weight_slot.h"

namespace ft::ops {

// Saves x and one number a row; the weight is read in float32 and materialised again in backward.
torch::Tensor RmsNorm(const torch::Tensor& x_NC, const WeightSlot& weight_C, double epsilon);

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
