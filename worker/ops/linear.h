// Linear layers over weight slots. Legend: N rows (tokens), I inputs, O outputs, R adapter rank.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/ops/weight_slot.h"

namespace ft::ops {

// y_NO = x_NI W^T (+ bias). Backward materialises the weight again for dx; a trainable weight or bias gets
// its gradient through its handle. `weight` and `bias` (may be null) outlive the graph.
torch::Tensor Linear(const torch::Tensor& x_NI, const WeightSlot& weight, const WeightSlot* bias = nullptr);

// Which numbers a training step's dropout draws: a pure function of these and of layer, site and channel.
// Shared by all layers of a pass.
struct DropoutRows {
  uint64_t key = 0;          // kernels::PhiloxKey(seed, step).
  torch::Tensor sample_N;    // The sample's key of each row: 64 bits in an int64, where the rows are.
  torch::Tensor position_N;  // Of each row, in its sample; int64.
};

std::shared_ptr<const DropoutRows> MakeDropoutRows(uint64_t seed, uint64_t step,
                                                   const std::vector<uint64_t>& sample,
                                                   const std::vector<int64_t>& position,
                                                   at::Device device = at::kCPU);

// One layer's dropout; none while `rows` is null or the probability 0.
struct DropoutPlace {
  std::shared_ptr<const DropoutRows> rows;
  uint32_t layer = 0;
  uint32_t site = 0;
  float probability = 0;
};

// Zeroes elements and scales the rest; the mask is drawn again in backward, never stored.
torch::Tensor Dropout(const torch::Tensor& x_NC, const DropoutPlace& place);

// A low-rank adapter (Hu et al., arXiv 2106.09685): scale * B(A(dropout(x))).
struct LoraSlots {
  std::shared_ptr<const WeightSlot> a_RI;
  std::shared_ptr<const WeightSlot> b_OR;
  double scale = 1;
  float dropout = 0;
  // The type of both products: the model's compute type, or float32 as PEFT does it.
  at::ScalarType compute = at::kFloat;
};

// The adapter's part of the output, in `lora.compute`. Saves x and the R-wide middle only.
torch::Tensor LoraDelta(const torch::Tensor& x_NI, const LoraSlots& lora, const DropoutPlace& place);

}  // namespace ft::ops
