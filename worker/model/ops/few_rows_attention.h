// Attention of few queries to many keys, as in generation, which has one query and a cache: keys and values are read in their own type where
// they lie. The tiles of attention.h widen and pack all of them first, once a query head, which pays for many queries only. Legend: N query
// rows, M key rows, H query heads, K key heads, D head size.
#pragma once

#include <torch/types.h>

#include "worker/model/ops/attention.h"

namespace ft::ops {

// What CausalAttention computes, but for sinks, which are left out: out_NHD in float32, and lse. The scores, the softmax (kernels/attention)
// and its products are float32 and rounded nowhere, so they differ from those of tiles in their order of sums and, with bfloat16, by its
// rounding. The same bits for any number of threads. REQUIRES: host memory; k and v of one type, float32 or bfloat16.
SavedAttention FewRowsAttention(const torch::Tensor& q_NHD, const torch::Tensor& k_MKD,
                                const torch::Tensor& v_MKD, const AttentionShape& shape);

}  // namespace ft::ops
