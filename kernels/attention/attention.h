// Causal attention: what it does between its matrix products, a tile of query rows at a time, in the words of
// FlashAttention-2 (Dao, arXiv 2307.08691): S and dS, P and dP, m and l, O. attention_scalar.h is the
// definition, of the parts here and of the whole; worker/model/ops/attention.cc puts the parts and the
// products together.
//
// T is the type of Q, K and V; products add up in float32, and P and dS are rounded to T for the next
// product. Right-hand sides of products lie as panel.h says. Thread-safe. Legend: D head size.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"
#include "kernels/panel/panel.h"

namespace ft::kernels {

// Queries [first_query, +queries) are the last `queries` of the keys [first_key, +keys): query i sees the
// keys up to and including key (keys - queries + i). While training both ranges are the same; with a cache
// there are more keys.
struct AttentionSegment {
  int64_t first_query = 0;
  int64_t queries = 0;
  int64_t first_key = 0;
  int64_t keys = 0;
};

// Tiles are this many query rows and keys.
inline constexpr int64_t kAttentionTile = 64;

// The transposed rows, plain: D x Grouped(rows), the added column zero. REQUIRES: at most kAttentionTile
// rows, which is the distance of out's rows.
template <typename T>
void Transpose(const StridedRows<T>& in, T* out);

// The keys of a tile of forward, more of them, since a row's running maximum changes once a tile: S and P of
// kAttentionTile queries stay in a core's cache. Rows of both are kScoreStride apart, padded against
// cache-set conflicts.
inline constexpr int64_t kScoreTile = 8 * kAttentionTile;
inline constexpr int64_t kScoreStride = kScoreTile + 16;

// What a query sees of the positions before it where not all of them: its own and the window - 1 before it.
inline constexpr int64_t kNoWindow = int64_t{1} << 40;

// A tile of S: row i sees the tile's keys before `seen` + i + 1 that lie in its window, which may be none.
struct ScoreTile {
  int64_t rows = 0;
  int64_t keys = 0;  // At most kScoreTile.
  int64_t seen = 0;  // May be negative.
  float scale = 1;
  int64_t window = kNoWindow;
};

// What becomes of scores before the softmax, in the scale of S, which is not scaled yet. Both may be at work.
struct ScoreChange {
  float cap = 0;  // S' = cap / scale * tanh(scale * S / cap), where it is above 0.
  float slope =
      0;  // Then S' + slope / scale * (key's position - query's position): ALiBi (arXiv 2108.12409).

  bool none() const { return cap == 0 && slope == 0; }
};

// A rectangle of S, in place: element (i, j) belongs to the query `distance` + i - j positions behind its key, or with `transposed` to
// that `distance` + j - i behind.
struct ScoreRectangle {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;  // From row to row.
  int64_t distance = 0;
  bool transposed = false;
};

// Changes the scores. `derivative`, of the same rectangle, receives dS'/dS; null where nobody reads it.
void ChangeScores(const ScoreChange& change, float scale, const ScoreRectangle& rectangle, float* s,
                  float* derivative);

// The running softmax of a tile of query rows.
struct OnlineSoftmax {
  // The maximum of the row's S so far.
  float m[kAttentionTile];
  // The sum of exp(scale * (S - m)) so far.
  float l[kAttentionTile];
  // The sum of exp(scale * (S - m)) V so far: rows x D, dense. FinishOnlineSoftmax divides it by l.
  float* o = nullptr;
  int64_t head_size = 0;  // D.
};
// The state before the first tile of keys. Every row must see a key of that tile, whatever its window.
void InitOnlineSoftmax(OnlineSoftmax& state);

// Takes a tile of keys into the state: p = exp(scale * (s - m)), zero for keys that row i does not see, up to
// Grouped(keys); l and o are scaled to the new m, and the tile is added to l. The caller adds p v to o.
template <typename T>
void OnlineSoftmaxTile(const ScoreTile& tile, const float* s, T* p, OnlineSoftmax& state);

// o = state.o / l, row by row, `stride` apart; lse = log(sum exp(scale * S)), which backward reads (the
// paper's L).
template <typename T>
void FinishOnlineSoftmax(int64_t rows, float scale, const OnlineSoftmax& state, T* o, int64_t stride,
                         float* lse);

// delta[i] = sum_d a[i, d] * b[i, d] of an output and its gradient (the paper's D = rowsum(dO * O)).
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
  int64_t window = kNoWindow;
};

template <typename T>
struct GradientTileIn {
  const float* s = nullptr;    // (Q K^T)^T.
  const float* dp = nullptr;   // (dO V^T)^T.
  const float* lse = nullptr;  // One a query, as is delta.
  const float* delta = nullptr;
  const float* derivative = nullptr;  // ChangeScores'; null where scores stay, or change by a constant.
};

template <typename T>
struct GradientTileOut {
  T* p = nullptr;
  T* ds = nullptr;
  // ds again as a right-hand side, Grouped(keys) x queries, rows kAttentionTile apart. May be null where
  // groups are single rows.
  T* packed_ds = nullptr;
};

// p = exp(scale * s - lse) and ds = scale * p * (dp - delta) * derivative, zero where a query does not see the key and in
// the column that Grouped(queries) adds.
template <typename T>
void ScoreGradients(const GradientTile& tile, const GradientTileIn<T>& in, const GradientTileOut<T>& out);

// out[i, d] = in[d, i]: `in` is D rows kAttentionTile apart, out's rows are `stride` apart.
template <typename T>
void StoreTransposed(int64_t rows, int64_t size, const float* in, T* out, int64_t stride);

}  // namespace ft::kernels
