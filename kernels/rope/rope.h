// Rotary position embedding (Su et al., arXiv 2104.09864) in the half-split layout: elements i and i + D/2 of
// a head form a pair, rotated by its row's angle i. Computed in float32, rounded to T once. Thread-safe.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

struct RopeShape {
  int64_t heads = 0;
  int64_t head_size = 0;  // Even.
};

struct RopePair {
  float first, second;
};

// One pair rotated: the definition, which the array function equals bit for bit.
FT_HOST_DEVICE inline RopePair RotatePair(RopePair pair, float cosine, float sine) {
  return {pair.first * cosine - pair.second * sine, pair.second * cosine + pair.first * sine};
}

// y = x rotated, for rows [first, last) of dense rows x heads x head_size. cosine and sine are rows x
// head_size/2. `direction` is 1 for forward and -1 for backward, which rotates gradients back. x may equal y.
template <typename T>
void Rope(const RopeShape& shape, int64_t first, int64_t last, const float* cosine, const float* sine,
          float direction, const T* x, T* y);

}  // namespace ft::kernels
