#include "worker/model/ops/few_rows_attention.h"

#include <algorithm>

#include "kernels/panel/row_sums.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/thread_arena.h"

namespace ft::ops {
namespace {

using kernels::StridedRows;
using torch::Tensor;

// Queries of one head and segment with the keys and values that they may see.
template <typename T>
struct HeadRows {
  StridedRows<float> q;
  StridedRows<T> k, v;
  kernels::ScoreChange change;
  float scale = 1;
  int64_t window = kernels::kNoWindow;
};

// state.o and the sums beside it, of at most kAttentionTile queries, of which `seen` keys lie before the first.
template <typename T>
void Attend(const HeadRows<T>& head, int64_t seen, float* s, float* p, kernels::OnlineSoftmax& state) {
  kernels::InitOnlineSoftmax(state);
  const int64_t visible = seen + head.q.rows;
  // The first tile has a key that each query sees.
  const int64_t begin = std::max<int64_t>(0, seen + 1 - head.window);
  for (int64_t key = begin; key < visible; key += kernels::kScoreTile) {
    const kernels::ScoreTile tile{head.q.rows, std::min(kernels::kScoreTile, visible - key), seen - key,
                                  head.scale, head.window};
    kernels::RowSums<T>(head.k.Slice(key, tile.keys), head.q, false, s, kernels::kScoreStride);
    if (!head.change.none()) {
      kernels::ChangeScores(head.change, head.scale, {tile.rows, tile.keys, kernels::kScoreStride, tile.seen},
                            s, nullptr);
    }
    kernels::OnlineSoftmaxTile<float>(tile, s, p, state);
    for (int64_t row = 0; row < tile.rows; ++row) {
      kernels::AddWeightedRows<T>(head.v.Slice(key, tile.keys), p + row * kernels::kScoreStride,
                                  state.o + row * state.head_size);
    }
  }
}

template <typename T>
struct Call {
  const AttentionShape& shape;
  int64_t rows, heads, key_heads, size;  // N, H, K, D.
  const float* q;
  const T *k, *v;
  float* out;  // N x H x D.
  float* lse;  // H x N.

  void Head(const AttentionSegment& segment, int64_t head) const {
    constexpr int64_t kScores = kernels::kAttentionTile * kernels::kScoreStride;
    const int64_t sums = kernels::kAttentionTile * size;
    ThreadArena& arena =
        ThreadArena::Of(2 * ThreadArena::Piece<float>(kScores) + ThreadArena::Piece<float>(sums));
    float *s = arena.Take<float>(kScores), *p = arena.Take<float>(kScores);
    kernels::OnlineSoftmax state{.o = arena.Take<float>(sums), .head_size = size};
    HeadRows<T> at = RowsOf(segment, head);
    const StridedRows<float> queries = at.q;
    for (int64_t first = 0; first < queries.rows; first += kernels::kAttentionTile) {
      at.q = queries.Slice(first, kernels::kAttentionTile);
      Attend(at, segment.keys - segment.queries + first, s, p, state);
      kernels::FinishOnlineSoftmax<float>(at.q.rows, at.scale, state, out + (at.q.data - q), at.q.stride,
                                          lse + head * rows + segment.first_query + first);
    }
  }

 private:
  HeadRows<T> RowsOf(const AttentionSegment& s, int64_t head) const {
    const int64_t first_key = (s.first_key * key_heads + head / (heads / key_heads)) * size;
    return {.q = {q + (s.first_query * heads + head) * size, s.queries, size, heads * size},
            .k = {k + first_key, s.keys, size, key_heads * size},
            .v = {v + first_key, s.keys, size, key_heads * size},
            .change = {static_cast<float>(shape.cap),
                       shape.slopes == nullptr ? 0 : (*shape.slopes)[static_cast<size_t>(head)]},
            .scale = static_cast<float>(shape.scale),
            .window = shape.window > 0 ? shape.window : kernels::kNoWindow};
  }
};

}  // namespace

SavedAttention FewRowsAttention(const Tensor& q_NHD, const Tensor& k_MKD, const Tensor& v_MKD,
                                const AttentionShape& shape) {
  const Tensor q = q_NHD.to(at::kFloat).contiguous(), k = k_MKD.contiguous(), v = v_MKD.contiguous();
  const int64_t rows = q.size(0), heads = q.size(1);
  SavedAttention result{torch::empty_like(q), torch::empty({heads, rows}, torch::kFloat)};
  WithType(k.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Call<T> call{shape,
                       rows,
                       heads,
                       k.size(1),
                       q.size(2),
                       Data<float>(q),
                       Data<T>(k),
                       Data<T>(v),
                       MutableData<float>(result.out_NHD),
                       MutableData<float>(result.lse)};
    const int64_t count = static_cast<int64_t>(shape.segments->size()) * heads;
    at::parallel_for(0, count, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        call.Head((*shape.segments)[static_cast<size_t>(i / heads)], i % heads);
    });
  });
  return result;
}

}  // namespace ft::ops
