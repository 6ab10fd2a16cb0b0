// Rotary position embedding as a kernel body (kernels/grid/grid.h), bit-equal to Rope().
#pragma once

#include "kernels/grid/grid.h"
#include "kernels/rope/rope.h"

namespace ft::kernels {

// One thread rotates one pair.
template <typename T>
struct RopeBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  RopeShape shape;
  int64_t rows = 0;
  const float* cosine = nullptr;  // rows x head_size / 2.
  const float* sine = nullptr;
  float direction = 1;  // 1 forward, -1 backward.
  const T* x = nullptr;
  T* y = nullptr;  // May equal x.

  template <typename F>
  void Pointers(F f) {
    f(cosine), f(sine), f(x), f(y);
  }
  FT_HOST_DEVICE int64_t Pairs() const { return rows * shape.heads * (shape.head_size / 2); }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(Pairs(), kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    if (at.index() >= Pairs()) return;
    const int64_t half = shape.head_size / 2;
    const int64_t i = at.index() % half, head = at.index() / half;  // `head` counts those of all rows.
    const int64_t angle = head / shape.heads * half + i;
    const RopePair rotated =
        RotatePair({ToFloat(x[head * shape.head_size + i]), ToFloat(x[head * shape.head_size + half + i])},
                   cosine[angle], direction * sine[angle]);
    y[head * shape.head_size + i] = FromFloat<T>(rotated.first);
    y[head * shape.head_size + half + i] = FromFloat<T>(rotated.second);
  }
};

}  // namespace ft::kernels
