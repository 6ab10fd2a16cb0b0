// Causal attention over segments laid end to end, with grouped key heads. Own algorithm rather than
// LibTorch's: cost follows the sum of squared segment lengths; a tile of 64 query rows at a time, whose
// scores are computed again in backward (Dao, FlashAttention-2, arXiv 2307.08691). Legend: N query rows, M
// key rows, H query heads, K key heads, D head size.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/attention/attention.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::ops {

using kernels::AttentionSegment;

struct SegmentBounds;  // fused_attention.h

struct AttentionShape {
  std::shared_ptr<const std::vector<AttentionSegment>> segments;  // Cover all query rows once, in order.
  double scale = 1;  // Factor of the scores; usually 1 / sqrt(D).
  std::shared_ptr<const SegmentBounds>
      bounds;          // The segments where a device reads them; null for host memory.
  int64_t window = 0;  // A row sees itself and the window - 1 rows before it; 0 = all.
  double cap = 0;      // Scores become cap * tanh(score / cap); 0 = they stay.
  // ALiBi: what a score loses with each row between query and key, one a head. Null = nothing.
  std::shared_ptr<const std::vector<float>> slopes;
  // One more score a head that takes part in the softmax and has no value, unscaled. Null = none. Outlives the graph.
  const WeightSlot* sinks_H = nullptr;
};

// Once a pass, for rows on `device`.
AttentionShape MakeAttentionShape(std::vector<AttentionSegment> segments, double scale, at::Device device);

// The output and log-sum-exp of one call (the paper's O and L), saved for a second call over the same rows:
// it would compute the same bits.
struct SavedAttention {
  torch::Tensor out_NHD;  // Undefined while empty.
  torch::Tensor lse;      // float32 [H, N], or as the fused kernel that made it lays it out.
};

// Softmax(scale * q k^T, changed as the shape says) v. Products multiply in the type of q, k and v and add up in float32; scores and the
// softmax stay in float32, because rounded scores would cost more accuracy than all the linear layers
// together; probabilities are rounded once for the last product. Query head h reads key head h * K / H. The
// same bits for any number of threads. `saved` may be null; an empty one is filled, a filled one is emptied
// and spares the computation. Few rows under a FewRowsScope (row_gemm.h) are FewRowsAttention's. On other devices than the CPU it is LibTorch's fused kernels (fused_attention.h), or its operators for windows,
// caps, ALiBi and sinks (plain_attention.h), which leave `saved` empty. REQUIRES: D even; rows
// of q in segments only; bounds where the rows lie on a device.
torch::Tensor CausalAttention(const torch::Tensor& q_NHD, const torch::Tensor& k_MKD,
                              const torch::Tensor& v_MKD, const AttentionShape& shape,
                              SavedAttention* saved = nullptr);

}  // namespace ft::ops
