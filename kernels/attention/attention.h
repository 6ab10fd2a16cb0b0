// What causal attention does between its matrix products, a tile of query rows at a time (the tiling of Dao,
// FlashAttention-2, arXiv 2307.08691). The products themselves belong
// to worker/model/ops/attention.cc. T is the type of queries, keys and values; products add up in float32, and
// probabilities are rounded to T for the next product. Thread-safe.
// Right-hand sides of products lie as panel.h says. Legend: D head size.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"
#include "kernels/panel/panel.h"

namespace ft::kernels {

// Tiles are this many query rows and keys.
inline constexpr int64_t kAttentionTile = 64;

// The transposed rows, plain: D x Grouped(rows), the added column zero. REQUIRES: at most kAttentionTile rows, which
// is the distance of out's rows.
template <typename T>
void Transpose(const StridedRows<T>& in, T* out);

// The keys of a tile of forward, more of them, since a row's running maximum changes once a tile: their scores and
// probabilities for kAttentionTile queries stay in a core's cache. Rows of both are kScoreStride apart, which is no
// power of two, so that they do not share cache lines' places.
inline constexpr int64_t kScoreTile = 8 * kAttentionTile;
inline constexpr int64_t kScoreStride = kScoreTile + 16;

// Scores of query rows and a tile of keys: row i sees the tile's keys before `seen` + i + 1, which may be none.
struct ScoreTile {
  int64_t rows = 0;
  int64_t keys = 0;  // At most kScoreTile.
  int64_t seen = 0;  // May be negative.
  float scale = 1;
};

// What a tile of rows knows after some tiles of keys.
struct SoftmaxState {
  float largest[kAttentionTile];  // Of the scores seen.
  float sums[kAttentionTile];     // Of exp(scale * (s - largest)).
  float* out = nullptr;           // rows x D, dense: the same sum with values.
  int64_t size = 0;               // D.
};
// Before the first tile of keys, of which every row sees one at least.
void StartSoftmax(SoftmaxState& state);

// Takes a tile of keys into the state: p = exp(scale * (s - largest)), zero for keys that row i does not see, up to
// Grouped(keys); what the state held is scaled to the new maximum. The caller adds p v to state.out.
template <typename T>
void SoftmaxTile(const ScoreTile& tile, const float* scores, T* p, SoftmaxState& state);

// out = state.out / state.sums, row by row, `stride` apart; lse = log(sum exp(scale * s)).
template <typename T>
void FinishSoftmax(int64_t rows, float scale, const SoftmaxState& state, T* out, int64_t stride, float* lse);

// delta[i] = sum_d a[i, d] * b[i, d]: of an output and its gradient.
template <typename T>
void RowDots(const StridedRows<T>& a, const StridedRows<T>& b, float* delta);

// A tile of keys against a tile of queries, transposed: element (j, i) belongs to key first_key + j and query
// i, which sees the keys up to first_query + i. Rows are kAttentionTile apart.
struct GradientTile {
  int64_t keys = 0;
  int64_t queries = 0;
  int64_t first_key = 0;
  int64_t first_query = 0;
  float scale = 1;
};

template <typename T>
struct GradientTileIn {
  const float* scores = nullptr;          // q k, transposed.
  const float* dprobabilities = nullptr;  // dout v, transposed.
  const float* lse = nullptr;             // One a query.
  const float* delta = nullptr;
};

// p = exp(scale * s - lse) and ds = scale * p * (dp - delta), zero where a query does not see the key and in
// the column that Grouped(queries) adds. ds also as a right-hand side, `packed`: Grouped(keys) x queries,
// rows kAttentionTile apart; may be null where groups are single rows.
template <typename T>
struct GradientTileOut {
  T* p = nullptr;
  T* ds = nullptr;
  T* packed = nullptr;
};

template <typename T>
void ScoreGradients(const GradientTile& tile, const GradientTileIn<T>& in, const GradientTileOut<T>& out);

// out[i, d] = in[d, i]: `in` is D rows kAttentionTile apart, out's rows are `stride` apart.
template <typename T>
void StoreTransposed(int64_t rows, int64_t size, const float* in, T* out, int64_t stride);

}  // namespace ft::kernels
