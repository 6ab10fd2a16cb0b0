// RMS norm as kernel bodies (kernels/grid/grid.h). Sums over a row run in the order of BlockSum, so y and dx
// agree with the array functions within a few units in the last place; sums over rows are bit-equal.
#pragma once

#include <cmath>

#include "kernels/grid/grid.h"
#include "kernels/rms_norm/rms_norm.h"

namespace ft::kernels {

// One block of threads normalises one row.
template <typename T>
struct RmsNormForwardBody {
  static constexpr int kThreads = BlockSum::kThreads;
  static constexpr int kPhases = 4;
  using Shared = BlockSum;

  RmsNormShape shape;
  int64_t rows = 0;
  const float* x = nullptr;
  const float* weight = nullptr;
  T* y = nullptr;
  float* scale = nullptr;  // One value a row.
  int64_t y_stride = 0;    // Values from row to row of y; 0 = it is dense.

  template <typename F>
  void Pointers(F f) {
    f(x), f(weight), f(y), f(scale);
  }
  FT_HOST_DEVICE int64_t YStride() const { return y_stride == 0 ? shape.channels : y_stride; }
  FT_HOST_DEVICE int64_t Blocks() const { return rows; }

  FT_HOST_DEVICE void Run(int phase, const GridPoint& at, Shared& sum) const {
    const float* in = x + at.block * shape.channels;
    if (phase == 0) {
      sum.ReduceItems(at, shape.channels, [in](int64_t c) { return in[c] * in[c]; });
    } else if (phase == 1) {
      sum.ReduceGroups(at);
    } else if (phase == 2) {
      sum.ReduceBlock(at);
    } else {
      const float factor = RmsNormScale(shape, sum.total);
      if (at.thread == 0) scale[at.block] = factor;
      T* out = y + at.block * YStride();
      for (int64_t c = at.thread; c < shape.channels; c += kThreads) {
        out[c] = FromFloat<T>(in[c] * factor * weight[c]);
      }
    }
  }
};

// One block of threads computes dx of one row.
template <typename T>
struct RmsNormBackwardBody {
  static constexpr int kThreads = BlockSum::kThreads;
  static constexpr int kPhases = 4;
  using Shared = BlockSum;

  RmsNormShape shape;
  int64_t rows = 0;
  RmsNormGradient<T> in;
  float* dx = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(in.x), f(in.dy), f(in.weight), f(in.scale), f(dx);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return rows; }

  FT_HOST_DEVICE void Run(int phase, const GridPoint& at, Shared& sum) const {
    const float* x = in.x + at.block * shape.channels;
    const T* dy = in.dy + at.block * shape.channels;
    const float* weight = in.weight;
    const float factor = in.scale[at.block];
    if (phase == 0) {
      sum.ReduceItems(at, shape.channels,
                      [=](int64_t c) { return ToFloat(dy[c]) * weight[c] * x[c] * factor; });
    } else if (phase == 1) {
      sum.ReduceGroups(at);
    } else if (phase == 2) {
      sum.ReduceBlock(at);
    } else {
      const float mean = sum.total / static_cast<float>(shape.channels);
      for (int64_t c = at.thread; c < shape.channels; c += kThreads) {
        dx[at.block * shape.channels + c] = factor * (ToFloat(dy[c]) * weight[c] - x[c] * factor * mean);
      }
    }
  }
};

// One thread adds one channel over all rows, in order.
template <typename T>
struct RmsNormWeightGradientBody {
  static constexpr int kThreads = 64;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  RmsNormShape shape;
  int64_t rows = 0;
  RmsNormGradient<T> in;
  float* dweight = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(in.x), f(in.dy), f(in.weight), f(in.scale), f(dweight);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(shape.channels, kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    const int64_t c = at.index();
    if (c >= shape.channels) return;
    double sum = 0;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t i = row * shape.channels + c;
      sum += static_cast<double>(ToFloat(in.dy[i]) * (in.x[i] * in.scale[row]));
    }
    dweight[c] = static_cast<float>(sum);
  }
};

template <typename T>
struct ColumnSumBody {
  static constexpr int kThreads = 64;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  int64_t rows = 0;
  int64_t channels = 0;
  const T* values = nullptr;
  float* out = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(values), f(out);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(channels, kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    const int64_t c = at.index();
    if (c >= channels) return;
    double sum = 0;
    for (int64_t row = 0; row < rows; ++row) sum += static_cast<double>(ToFloat(values[row * channels + c]));
    out[c] = static_cast<float>(sum);
  }
};

}  // namespace ft::kernels
