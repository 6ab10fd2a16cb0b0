// What causal attention does between its matrix products, a tile of query rows at a time (the tiling of Dao,
// FlashAttention-2, arXiv 2307.08691, with whole rows of scores in forward). The products themselves belong
// to worker/ops/attention.cc. T is the type of queries, keys and values; products add up in float32, and
// probabilities are rounded to T for the next product. Thread-safe.
//
// A right-hand side of a product has rows in groups of kGroup<T> that lie side by side, value by value, as
// the processor's dot products want bfloat16: element (r, c) at [r / group][c][r % group]. Legend: D head
// size.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

template <typename T>
inline constexpr int64_t kGroup = sizeof(T) == 2 ? 2 : 1;

// `count` rounded up to whole groups.
template <typename T>
constexpr int64_t Grouped(int64_t count) {
  return (count + kGroup<T> - 1) / kGroup<T> * kGroup<T>;
}

// Tiles are this many query rows and keys.
inline constexpr int64_t kAttentionTile = 64;

// Rows of one head within rows of all heads.
template <typename T>
struct HeadRows {
  const T* data = nullptr;
  int64_t rows = 0;
  int64_t size = 0;    // D, even.
  int64_t stride = 0;  // From row to row.
};

// The transposed rows as a right-hand side: D x rows.
template <typename T>
void PackTransposed(const HeadRows<T>& in, T* out);

// The rows as a right-hand side: Grouped(rows) x D, the added row zero.
template <typename T>
void PackRows(const HeadRows<T>& in, T* out);

// The transposed rows, plain: D x Grouped(rows), the added column zero.
template <typename T>
void Transpose(const HeadRows<T>& in, T* out);

// Scores of a tile: row i sees the keys [0, seen + i].
struct ScoreTile {
  int64_t rows = 0;
  int64_t seen = 0;  // Keys before the tile's own first one.
  int64_t stride = 0;
  float scale = 1;
};

// p = exp(scale * (s - the row's largest visible s)), zero for keys that row i does not see, up to
// Grouped(seen + rows). `sums` receives each row's sum of p in float32, `lse` log(sum exp(scale * s)). p's
// rows are `stride` apart too.
template <typename T>
void SoftmaxTile(const ScoreTile& tile, const float* scores, T* p, float* sums, float* lse);

// out = in / sums, row by row; in is rows x D dense, out's rows are `stride` apart.
template <typename T>
void StoreNormalised(int64_t rows, int64_t size, const float* in, const float* sums, T* out, int64_t stride);

// delta[i] = sum_d a[i, d] * b[i, d]: of an output and its gradient.
template <typename T>
void RowDots(const HeadRows<T>& a, const HeadRows<T>& b, float* delta);

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
