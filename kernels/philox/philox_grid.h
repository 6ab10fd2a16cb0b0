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
  T* y = nullptr;        // Dense; may equal x where that is.
  int64_t x_stride = 0;  // Values from row to row of x; 0 = it is dense.

  template <typename F>
  void Pointers(F f) {
    f(shape.sample), f(shape.position), f(x), f(y);
  }
  FT_HOST_DEVICE int64_t XStride() const { return x_stride == 0 ? shape.channels : x_stride; }
  FT_HOST_DEVICE int64_t Quads() const { return (shape.channels + 3) / 4; }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(rows * Quads(), kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    if (at.index() >= rows * Quads()) return;
    const int64_t row = at.index() / Quads(), channel = at.index() % Quads() * 4;
    const PhiloxBlock random = Philox(shape.key, DropoutCounter(shape, row, channel));
    const uint32_t threshold = DropoutThreshold(shape);
    const float factor = DropoutFactor(shape);
    const T* in = x + row * XStride() + channel;
    T* out = y + row * shape.channels + channel;
    for (int i = 0; i < 4 && channel + i < shape.channels; ++i)
      out[i] = FromFloat<T>(ToFloat(in[i]) * (random.word[i] >= threshold ? factor : 0.0f));
  }
};

}  // namespace ft::kernels
