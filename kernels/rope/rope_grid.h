// Rotary position embedding as a kernel body (kernels/grid/grid.h), bit-equal to Rope().
#pragma once

#include "kernels/grid/grid.h"
#include "kernels/rope/rope.h"

namespace ft::kernels {

// One thread rotates one pair, or copies two elements behind the pairs.
template <typename T>
struct RopeBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  RopeShape shape;
  int64_t rows = 0;
  const float* cosine = nullptr;  // rows x shape.Pairs().
  const float* sine = nullptr;
  float direction = 1;  // 1 forward, -1 backward.
  const T* x = nullptr;
  T* y = nullptr;  // May equal x.

  template <typename F>
  void Pointers(F f) {
    f(cosine), f(sine), f(x), f(y);
  }
  FT_HOST_DEVICE int64_t Threads() const { return rows * shape.heads * (shape.head_size / 2); }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(Threads(), kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    if (at.index() >= Threads()) return;
    const int64_t half = shape.head_size / 2, pairs = shape.Pairs();
    const int64_t i = at.index() % half, head = at.index() / half;  // `head` counts those of all rows.
    const T* in = x + head * shape.head_size;
    T* out = y + head * shape.head_size;
    if (i >= pairs) {
      out[2 * i] = in[2 * i];
      out[2 * i + 1] = in[2 * i + 1];
      return;
    }
    const int64_t angle = head / shape.heads * pairs + i;
    const int64_t first = shape.First(i), second = first + shape.Apart();
    const RopePair rotated =
        RotatePair({ToFloat(in[first]), ToFloat(in[second])}, cosine[angle], direction * sine[angle]);
    out[first] = FromFloat<T>(rotated.first);
    out[second] = FromFloat<T>(rotated.second);
  }
};

}  // namespace ft::kernels
