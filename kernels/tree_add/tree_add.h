// The sum of several vectors, element by element in one order, a binary tree over the vectors: ((0+1)+(2+3))+((4+5)+(6+7)). With
// another count than a power of two the largest power of two goes left. So ranks get the same bits whoever adds, where the sums are
// those of worker/train/comm/comm.h, TreeAdd.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

inline constexpr int kTreeAddMost = 256;  // Vectors.

// The sum of value(0), value(1), ... value(count - 1), 1 <= count <= kTreeAddMost. Sums of equally many values wait for each other as
// in counting: where the count ends, the waiting sums are added from the smallest to the largest. Places of `waiting` are known when
// it is compiled, so that a device keeps them in registers.
template <typename Values>
FT_HOST_DEVICE float TreeSum(int count, Values value) {
  constexpr int kLevels = 9;
  float waiting[kLevels] = {};  // Of 1, 2, 4, ... 256 values.
  for (int i = 0; i < count; ++i) {
    float sum = value(i);
    bool carries = true;
    FT_UNROLL
    for (int level = 0; level < kLevels; ++level) {
      if (carries && (i >> level & 1) != 0) {
        sum = waiting[level] + sum;
      } else if (carries) {
        waiting[level] = sum;
        carries = false;
      }
    }
  }
  float sum = 0;
  bool is_first = true;
  FT_UNROLL
  for (int level = 0; level < kLevels; ++level) {
    if ((count >> level & 1) == 0) continue;
    sum = is_first ? waiting[level] : waiting[level] + sum;
    is_first = false;
  }
  return sum;
}

// sum[i] = the sum of rows[k * columns + i] over the rows k, for i in [first, last). `sum` may be one of the rows.
void TreeAdd(const float* rows, int count, int64_t columns, int64_t first, int64_t last, float* sum);

}  // namespace ft::kernels
