// Attention in plain mathematics, over host tensors: what the emulated kernels of LibTorch compute inside their work. Legend: N queries,
// M keys, H heads, K key heads, D head size.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace ft::simdevice {

enum class Mask {
  kNone,
  kCausalTopLeft,
  kCausalBottomRight
};  // Which key the first query sees last: its own, or the one as far from the end.

struct Segment {
  int64_t first_query = 0, queries = 0, first_key = 0, keys = 0;
};

// Of cumulated lengths, int32 on the host. Throws where they fall, or end behind the rows that there are: a real kernel would read
// what is not its own.
std::vector<Segment> SegmentsOf(const at::Tensor& query_ends, const at::Tensor& key_ends, int64_t rows,
                                int64_t key_rows);

struct AttentionInputs {
  at::Tensor q_NHD, k_MKD, v_MKD;  // Of any type; K divides H.
  double scale = 1;
  Mask mask = Mask::kNone;
};

struct AttentionForward {
  at::Tensor out_NHD;  // float32.
  at::Tensor lse_HN;   // Infinity for a query that sees no key.
};

// Of one segment. Probabilities are rounded to the type of q before they meet the values, as kernels do that multiply in that type.
AttentionForward Forward(const AttentionInputs& inputs, const Segment& segment);

struct AttentionGradients {
  at::Tensor dq_NHD, dk_MHD, dv_MHD;  // float32; of keys and values one for each query head.
};

// From what forward left: `out_NHD`, `lse_HN` (of the segment's own rows) and the gradient of out.
AttentionGradients Backward(const AttentionInputs& inputs, const Segment& segment, const at::Tensor& dout_NHD,
                            const AttentionForward& saved);

}  // namespace ft::simdevice
