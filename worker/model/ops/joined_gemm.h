// Fused GEMMs on devices with a GEMM of their own (LibTorch's). The terms of a sum become one product along a joined inner size: forward
// [x | m] times [W | B] transposed, backward [dY | dm] times [W; A]. So weight and adapter are added up in the GEMM's float32 accumulators
// and rounded once, as on a CPU, and no pass over outputs adds them.
//
// Layers of one input are one product where their results may lie side by side: [x | m1 m2 ..] times [W1 B1 0 ..; W2 0 B2 ..] transposed. The
// zeros cost as much as the other adapters' ranks are of the inner size, and the rows are read once.
//
// Weights are dequantised, and adapters copied, into the device's arena (weight_arena.h), once a product. The inner size is padded to 8
// with zeros, as tensor cores want it. Rows that have room behind them (joined_rows.h) are multiplied where they lie, others are copied.
#pragma once

#include <torch/types.h>

#include <vector>

#include "worker/model/ops/fused_gemm.h"

namespace ft::ops {

// The results of all. Those that begin with the same rows share one copy of them. REQUIRES: terms on one device that is not the host's.
std::vector<torch::Tensor> ComputeJoined(const std::vector<FusedGemm>& gemms, ResultRows rows);

}  // namespace ft::ops
