// Packing for oneDNN's batch-reduce GEMM (worker/model/ops/micro_gemm.h), and its epilogue: a panel of the
// right-hand side is packed as the GEMM reads it, and the float32 accumulators of the panel's columns are
// stored. Array functions are SIMD, dispatched at run time, and thread-safe.
//
// A packed right-hand side of type T is in the VNNI layout: rows in groups of kGroup<T> that are interleaved
// value by value, element (r, c) at [r / group][c][r % group]. A group that is not full is filled with zeros.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

// Rows of a group: pairs of bfloat16, single rows of float32.
template <typename T>
inline constexpr int64_t kGroup = sizeof(T) == 2 ? 2 : 1;

// `count` rounded up to whole groups.
template <typename T>
constexpr int64_t Grouped(int64_t count) {
  return (count + kGroup<T> - 1) / kGroup<T> * kGroup<T>;
}

// Rows of a row-major matrix, or of a part of one.
template <typename T>
struct StridedRows {
  const T* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;  // The distance of rows, in values.

  // At most `count` rows from `first` on.
  StridedRows Slice(int64_t first, int64_t count) const {
    return {data + first * stride, std::min(count, rows - first), columns, stride};
  }
};

// The functions below that take In and Out exist for equal types and for bfloat16 widened to float32.

// Packs the transposed rows: Grouped<Out>(columns) x rows.
template <typename In, typename Out>
void PackTransposed(const StridedRows<In>& in, Out* out);

// Packs the rows: Grouped<Out>(rows) x columns.
template <typename In, typename Out>
void PackRows(const StridedRows<In>& in, Out* out);

// Copies the rows one behind the other.
template <typename In, typename Out>
void CopyRows(const StridedRows<In>& in, Out* out);

// The epilogue of a panel's sums: scale * sum + start + bias, rounded once.
template <typename T>
struct StoredSums {
  float scale = 1;
  const float* bias = nullptr;   // One value a column, or null.
  const float* start = nullptr;  // Rows `stride` apart like out's, or null; may be out.
  T* out = nullptr;
  int64_t stride = 0;
};
template <typename T>
void StoreSums(const StridedRows<float>& sums, const StoredSums<T>& to);

}  // namespace ft::kernels
