// Dropout as a kernel body (kernels/grid/grid.h), bit-equal to DropoutValue. Pointers, those inside the shape
// too, are of the device that runs the body.
#pragma once

#include "kernels/grid/grid.h"
#include "kernels/philox/philox.h"

namespace ft::kernels {

// One thread draws one block of random words: four channels of a row.
template <typename T>
struct DropoutBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  DropoutShape shape;
  int64_t rows = 0;
  const T* x = nullptr;
  T* y = nullptr;  // May equal x.

  template <typename F>
  void Pointers(F f) {
    f(shape.sample), f(shape.position), f(x), f(y);
  }
  FT_HOST_DEVICE int64_t Quads() const { return (shape.channels + 3) / 4; }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(rows * Quads(), kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    if (at.index() >= rows * Quads()) return;
    const int64_t row = at.index() / Quads(), channel = at.index() % Quads() * 4;
    const PhiloxBlock random = Philox(shape.key, DropoutCounter(shape, row, channel));
    const uint32_t threshold = DropoutThreshold(shape);
    const float factor = DropoutFactor(shape);
    for (int i = 0; i < 4 && channel + i < shape.channels; ++i) {
      const int64_t at_value = row * shape.channels + channel + i;
      y[at_value] = FromFloat<T>(ToFloat(x[at_value]) * (random.word[i] >= threshold ? factor : 0.0f));
    }
  }
};

}  // namespace ft::kernels
