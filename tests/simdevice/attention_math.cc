#include "tests/simdevice/attention_math.h"

#include <limits>
#include <utility>

namespace ft::simdevice {
namespace {

using at::Tensor;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The rows of a segment as float32, heads first.
Tensor HeadsFirst(const Tensor& x_NHD, int64_t first, int64_t count, int64_t heads) {
  const Tensor rows = x_NHD.narrow(0, first, count).to(at::kFloat).transpose(0, 1);
  return rows.repeat_interleave(heads / rows.size(0), 0);
}

struct SegmentRows {
  Tensor q_HND, k_HMD, v_HMD, scores_HNM;  // Scores are minus infinity where nothing is seen.
};

SegmentRows RowsOf(const AttentionInputs& inputs, const Segment& segment) {
  const int64_t heads = inputs.q_NHD.size(1);
  SegmentRows rows;
  rows.q_HND = HeadsFirst(inputs.q_NHD, segment.first_query, segment.queries, heads);
  rows.k_HMD = HeadsFirst(inputs.k_MKD, segment.first_key, segment.keys, heads);
  rows.v_HMD = HeadsFirst(inputs.v_MKD, segment.first_key, segment.keys, heads);
  rows.scores_HNM = at::bmm(rows.q_HND, rows.k_HMD.transpose(1, 2)) * inputs.scale;
  if (inputs.mask == Mask::kNone) return rows;
  const int64_t offset = inputs.mask == Mask::kCausalTopLeft ? 0 : segment.keys - segment.queries;
  const Tensor hidden = at::ones({segment.queries, segment.keys}, at::kBool).triu(offset + 1);
  rows.scores_HNM = rows.scores_HNM.masked_fill(hidden, -kInfinity);
  return rows;
}

Tensor Rounded(const Tensor& values, at::ScalarType type) { return values.to(type).to(at::kFloat); }

}  // namespace

std::vector<Segment> SegmentsOf(const Tensor& query_ends, const Tensor& key_ends, int64_t rows,
                                int64_t key_rows) {
  const int32_t* query = query_ends.const_data_ptr<int32_t>();
  const int32_t* key = key_ends.const_data_ptr<int32_t>();
  std::vector<Segment> segments;
  for (int64_t i = 0; i + 1 < query_ends.numel(); ++i) {
    const Segment segment{query[i], query[i + 1] - query[i], key[i], key[i + 1] - key[i]};
    TORCH_CHECK(segment.queries >= 0 && segment.keys >= 0 && query[i] >= 0 && key[i] >= 0 &&
                    query[i + 1] <= rows && key[i + 1] <= key_rows,
                "attention: segment ", i, " ends at query ", query[i + 1], " of ", rows, ", key ", key[i + 1],
                " of ", key_rows);
    segments.push_back(segment);
  }
  return segments;
}

AttentionForward Forward(const AttentionInputs& inputs, const Segment& segment) {
  const SegmentRows rows = RowsOf(inputs, segment);
  Tensor lse = at::logsumexp(rows.scores_HNM, {-1});
  lse = lse.masked_fill(lse == -kInfinity, kInfinity);
  const Tensor p = at::exp(rows.scores_HNM - lse.unsqueeze(-1));
  return {at::bmm(Rounded(p, inputs.q_NHD.scalar_type()), rows.v_HMD).transpose(0, 1), lse};
}

AttentionGradients Backward(const AttentionInputs& inputs, const Segment& segment, const Tensor& dout_NHD,
                            const AttentionForward& saved) {
  const at::ScalarType type = inputs.q_NHD.scalar_type();
  const SegmentRows rows = RowsOf(inputs, segment);
  const Tensor p = at::exp(rows.scores_HNM - saved.lse_HN.unsqueeze(-1));
  const Tensor dout = dout_NHD.to(at::kFloat).transpose(0, 1),
               out = saved.out_NHD.to(at::kFloat).transpose(0, 1);
  const Tensor delta = (dout * out).sum(-1, /*keepdim=*/true);
  const Tensor dscores = Rounded(p * (at::bmm(dout, rows.v_HMD.transpose(1, 2)) - delta), type);
  return {(at::bmm(dscores, rows.k_HMD) * inputs.scale).transpose(0, 1),
          (at::bmm(dscores.transpose(1, 2), rows.q_HND) * inputs.scale).transpose(0, 1),
          at::bmm(Rounded(p, type).transpose(1, 2), dout).transpose(0, 1)};
}

}  // namespace ft::simdevice
