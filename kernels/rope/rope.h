// Rotary position embedding (Su et al., arXiv 2104.09864): pairs of a head's first R elements are rotated by
// the angles of their row's position, the others stay. In the half-split layout elements i and i + R/2 form pair i, in the other
// one the neighbours 2i and 2i + 1. Computed in float32, rounded to T once. Thread-safe.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

struct RopeShape {
  int64_t head_size = 0;  // Even.
  int64_t rotated = 0;    // R, even; 0 = all.
  bool neighbours = false;

  FT_HOST_DEVICE int64_t Pairs() const { return (rotated == 0 ? head_size : rotated) / 2; }
  // The first element of pair i, and how far behind it the second lies.
  FT_HOST_DEVICE int64_t First(int64_t i) const { return neighbours ? 2 * i : i; }
  FT_HOST_DEVICE int64_t Apart() const { return neighbours ? 1 : Pairs(); }
};

// Angles of positions, and which position each row has.
struct RopeAngles {
  const float* cosine = nullptr;  // Positions x RopeShape::Pairs().
  const float* sine = nullptr;
  const int32_t* position = nullptr;  // One a row.
  float direction = 1;                // 1 for forward and -1 for backward, which rotates gradients back.
};

// Rows x heads x head_size, and where they go to, rotated: dense, but for the rows of x, which may lie further apart.
template <typename T>
struct RopeHeads {
  int64_t heads = 0;
  const T* x = nullptr;
  T* y = nullptr;        // May equal x where that is dense.
  int64_t x_stride = 0;  // Values from row to row of x; 0 = it is dense.

  FT_HOST_DEVICE const T* Row(const RopeShape& shape, int64_t row) const {
    return x + row * (x_stride == 0 ? heads * shape.head_size : x_stride);
  }
  FT_HOST_DEVICE T* RowOfY(const RopeShape& shape, int64_t row) const {
    return y + row * heads * shape.head_size;
  }
};

struct RopePair {
  float first, second;
};

// One pair rotated: the definition, which the array function equals bit for bit.
FT_HOST_DEVICE inline RopePair RotatePair(RopePair pair, float cosine, float sine) {
  return {pair.first * cosine - pair.second * sine, pair.second * cosine + pair.first * sine};
}

// y = x rotated, for rows [first, last).
template <typename T>
void Rope(const RopeShape& shape, const RopeAngles& angles, const RopeHeads<T>& heads, int64_t first,
          int64_t last);

}  // namespace ft::kernels
