// Sums of vectors as a kernel body (kernels/grid/grid.h), bit-equal to the array function: a thread an element.
#pragma once

#include "kernels/grid/grid.h"
#include "kernels/tree_add/tree_add.h"

namespace ft::kernels {

struct TreeAddBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  const float* rows = nullptr;  // [count, columns]
  int count = 0;                // 1 to kTreeAddMost.
  int64_t columns = 0;
  float* sum = nullptr;  // [columns]; may be one of the rows.

  template <typename F>
  void Pointers(F f) {
    f(rows), f(sum);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(columns, kThreads); }
  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    const int64_t i = at.index();
    if (i < columns) sum[i] = TreeSum(count, [&](int k) { return rows[k * columns + i]; });
  }
};

}  // namespace ft::kernels
