// Linear layers over weight slots. Legend: N rows (tokens), I inputs, O outputs, R adapter rank.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/model/ops/epilogue.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::ops {

// Which numbers a training step's dropout draws: a pure function of these and of layer, site and channel.
// Shared by all layers of a pass.
struct DropoutRows {
  uint64_t key = 0;          // kernels::PhiloxKey(seed, step).
  torch::Tensor sample_N;    // The sample's key, one a row: 64 bits in an int64, on the device of the rows.
  torch::Tensor position_N;  // The row's position in its sample, one a row; int64.
};

std::shared_ptr<const DropoutRows> MakeDropoutRows(uint64_t seed, uint64_t step,
                                                   const std::vector<uint64_t>& sample,
                                                   const std::vector<int64_t>& position,
                                                   at::Device device = at::kCPU);

// One layer's dropout; none while `rows` is null or the probability 0.
struct DropoutSite {
  std::shared_ptr<const DropoutRows> rows;
  uint32_t layer = 0;
  uint32_t site = 0;
  float probability = 0;
};

// Zeroes elements and scales the rest; the mask is drawn again in backward, never stored.
torch::Tensor Dropout(const torch::Tensor& x_NC, const DropoutSite& dropout);

// A low-rank adapter (Hu et al., arXiv 2106.09685): scale * B(A(dropout(x))).
struct LoraSlots {
  std::shared_ptr<const WeightSlot> a_RI;
  std::shared_ptr<const WeightSlot> b_OR;
  double scale = 1;
  float dropout = 0;
  // The type of both products: the model's compute type, or float32 as PEFT does it.
  at::ScalarType compute = at::kFloat;
  // With DoRA (dora.h) the lengths of rows, and the sums of squares of the weight's, float32; otherwise null and undefined.
  std::shared_ptr<const WeightSlot> magnitude_O = nullptr;
  torch::Tensor weight_squares_O = {};
};

// One layer: y_NO = x_NI W^T (+ bias) (+ adapter). Slots outlive the graph; bias and lora may be null.
struct LinearLayer {
  const WeightSlot* weight_OI = nullptr;
  const WeightSlot* bias_O = nullptr;
  const LoraSlots* lora = nullptr;
  DropoutSite dropout;  // Applied to the adapter's input.
};

// The outputs of layers that read the same input, in x's type, or what an epilogue makes of them before they
// are rounded: weight, adapter and bias are added up in float32 and rounded once (fused_gemm.h). One node of
// the graph for all of them, so that the gradient of x is added up inside the fused GEMM. Weights are read
// again in backward; trainable weights, biases and adapters get their gradients, float32, through their
// handles. An adapter saves x and its down-projection, a trainable weight x, a frozen one nothing, the epilogue
// what it asks for. x and what the epilogue saves are rounded to `saved_dtype` where that is narrower: activations
// that wait for backward take most of a step's memory, and gradients need fewer bits than sums do.
// REQUIRES: x is dense, or has room behind its rows (joined_rows.h), which nobody else reads or writes until backward is over.
std::vector<torch::Tensor> Linears(const torch::Tensor& x_NI, const std::vector<LinearLayer>& layers,
                                   std::shared_ptr<const Epilogue> epilogue = nullptr,
                                   at::ScalarType saved_dtype = at::kFloat);

// One layer alone.
torch::Tensor Linear(const torch::Tensor& x_NI, const LinearLayer& layer);

// kSkipped: recomputation for backward only; the last GEMM is skipped and the result is zeros.
enum class ForwardOutput { kComputed, kSkipped };

// residual + the layer's output, float32 like the residual: nothing is rounded before it is added. x is saved
// as in Linears.
torch::Tensor AddLinear(const torch::Tensor& residual_NO, const torch::Tensor& x_NI, const LinearLayer& layer,
                        ForwardOutput output = ForwardOutput::kComputed,
                        at::ScalarType saved_dtype = at::kFloat);

}  // namespace ft::ops
