// What a matrix product does around oneDNN's small products (worker/model/ops/product.h): it packs a panel of the
// right-hand side as they read it, and stores the sums of the panel's columns. Array functions are SIMD,
// dispatched at run time, and thread-safe.
//
// A right-hand side of type T has rows in groups of kGroup<T> that lie side by side, value by value, as the
// processor's dot products want bfloat16: element (r, c) at [r / group][c][r % group]. A group that is not
// full is filled with zeros.
#pragma once

#include <algorithm>
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

// A part of a row-major matrix.
template <typename T>
struct StridedRows {
  const T* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;  // From row to row, in values.

  // At most `count` rows from `first` on.
  StridedRows Part(int64_t first, int64_t count) const {
    return {data + first * stride, std::min(count, rows - first), columns, stride};
  }
};

// The functions below that take In and Out exist for equal types and for bfloat16 widened to float32.

// The transposed rows as a right-hand side: Grouped<Out>(columns) x rows.
template <typename In, typename Out>
void PackTransposed(const StridedRows<In>& in, Out* out);

// The rows as a right-hand side: Grouped<Out>(rows) x columns.
template <typename In, typename Out>
void PackRows(const StridedRows<In>& in, Out* out);

// The rows one behind the other.
template <typename In, typename Out>
void CopyRows(const StridedRows<In>& in, Out* out);

// What is made of a panel's sums: scale * sum + start + bias, rounded once.
template <typename T>
struct StoredSums {
  float scale = 1;
  const float* bias = nullptr;   // One a column, or null.
  const float* start = nullptr;  // Rows `stride` apart like out's, or null; may be out.
  T* out = nullptr;
  int64_t stride = 0;
};
template <typename T>
void StoreSums(const StridedRows<float>& sums, const StoredSums<T>& to);

}  // namespace ft::kernels
