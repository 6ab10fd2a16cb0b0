// The gate of the MLP as kernel bodies (kernels/grid/grid.h): one thread a value.
#pragma once

#include "kernels/grid/grid.h"
#include "kernels/swiglu/swiglu.h"

namespace ft::kernels {

template <typename T>
struct SwigluForwardBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  int64_t count = 0;
  const T* gate = nullptr;
  const T* up = nullptr;
  T* y = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(gate), f(up), f(y);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(count, kThreads); }
  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    const int64_t i = at.index();
    if (i < count) y[i] = FromFloat<T>(SwigluValue(ToFloat(gate[i]), ToFloat(up[i])));
  }
};

template <typename T>
struct SwigluBackwardBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  int64_t count = 0;
  SwigluIn<T> in;
  T* dgate = nullptr;
  T* dup = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(in.gate), f(in.up), f(in.dy), f(dgate), f(dup);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(count, kThreads); }
  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    const int64_t i = at.index();
    if (i >= count) return;
    const SwigluGradient gradient =
        SwigluBackwardValue(ToFloat(in.gate[i]), ToFloat(in.up[i]), ToFloat(in.dy[i]));
    dgate[i] = FromFloat<T>(gradient.dgate);
    dup[i] = FromFloat<T>(gradient.dup);
  }
};

}  // namespace ft::kernels
