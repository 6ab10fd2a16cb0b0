// GEMMs fused into one: their products are added up in float32 accumulators and rounded once. The terms are a
// layer's weight, its adapter and its bias, or the gradients that several layers give their common input. On
// a CPU the matrices are read panel by panel, so that a frozen weight in 4 bits is dequantised into the
// core's cache and never whole; on another device terms become one product (joined_gemm.h).
//
// Legend: N rows, C columns of the result; K inner size, each term's own.
#pragma once

#include <torch/types.h>

#include <vector>

#include "worker/model/ops/weight_slot.h"

namespace ft::ops {

// a_NK times a K x C matrix, or times the transpose of a C x K one. The matrix is a weight, rounded to the
// type of a, or a tensor.
struct GemmTerm {
  torch::Tensor a_NK;
  const WeightSlot* weight = nullptr;
  torch::Tensor matrix;  // Where there is no weight.
  bool transposed = false;
};

// scale * (sum of terms) + start + bias.
struct FusedGemm {
  std::vector<GemmTerm> terms;  // One at least, added in order.
  float scale = 1;
  torch::Tensor start_NC;            // float32, contiguous, or undefined.
  bool in_place = false;             // Whether the result overwrites start.
  torch::Tensor bias_C;              // float32, or undefined.
  at::ScalarType type = at::kFloat;  // The result's.
};

// How the results of GEMMs that begin with the same rows may lie on a device that joins products. Shared ones are columns of one matrix,
// which one product makes, so that their rows lie at a distance. In float32 all are apart: there half the bytes of a result are not
// saved by rounding it.
enum class ResultRows {
  kApart,  // Each result is contiguous.
  kSharedIfCopied,  // Those may be shared whose matrices are copied for their product anyway: what is joined, or dequantised.
  kShared,  // All may: they have so few columns that to copy their matrices is little beside reading the rows again.
};

// The results of all, in one parallel region of this rank's threads. The same bits for any number of threads.
// No tensor of a weight outlives the call. REQUIRES: all on one device.
std::vector<torch::Tensor> Compute(const std::vector<FusedGemm>& gemms, ResultRows rows = ResultRows::kApart);
torch::Tensor Compute(const FusedGemm& gemm);

}  // namespace ft::ops
