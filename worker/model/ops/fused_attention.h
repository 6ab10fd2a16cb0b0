// Causal attention by the fused kernels that LibTorch has for a device: FlashAttention-2 (Dao, arXiv 2307.08691) for 16-bit rows,
// memory-efficient attention (Rabe and Staats, arXiv 2112.05682) for float32, which alone keeps float32 products. Both over segments
// of different lengths, as attention.h has them, and deterministic wherever LibTorch was told to be.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/model/ops/attention.h"

namespace ft::ops {

// Segments as the kernels read them.
struct SegmentBounds {
  torch::Tensor query_ends, key_ends;  // int32 [S + 1] on the device: 0, and the row behind each segment.
  int64_t longest_queries = 0, longest_keys = 0;  // Rows of the longest segment.
};

// REQUIRES: segments whose queries and keys lie end to end, in order.
std::shared_ptr<const SegmentBounds> MakeSegmentBounds(const std::vector<AttentionSegment>& segments,
                                                       at::Device device);

// CausalAttention on a device; D at most 256 in 16 bits. Heads are padded with zeros to a multiple of 8 values, which the kernels
// want and which changes no score. REQUIRES: shape.bounds.
torch::Tensor FusedAttention(const torch::Tensor& q_NHD, const torch::Tensor& k_MKD,
                             const torch::Tensor& v_MKD, const AttentionShape& shape, SavedAttention* saved);

}  // namespace ft::ops
