// The gate of the MLP as kernel bodies (kernels/grid/grid.h).
#pragma once

#include <bit>

#include "kernels/grid/grid.h"
#include "kernels/grid/words.h"
#include "kernels/swiglu/swiglu.h"

namespace ft::kernels {

// One thread a value, as in the backward pass.
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

// SwigluForwardRounded: a thread takes 8 values, by accesses of 16 bytes where addresses allow it.
struct SwigluForwardRoundedBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  static constexpr int kValues = 8;
  using Shared = NoSharedMemory;

  int64_t count = 0;
  const float* gate = nullptr;
  const float* up = nullptr;
  SwigluRounded out;

  template <typename F>
  void Pointers(F f) {
    f(gate), f(up), f(out.y), f(out.gate), f(out.up);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(count, kThreads * kValues); }
  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    const int64_t first = kValues * at.index();
    if (first >= count) return;
    if (first + kValues <= count && IsAligned<Words16>(gate) && IsAligned<Words16>(up) &&
        IsAligned<Words16>(out.y) && IsAligned<Words16>(out.gate) && IsAligned<Words16>(out.up)) {
      return WriteWords(first);
    }
    const int64_t end = first + kValues < count ? first + kValues : count;
    for (int64_t i = first; i < end; ++i) {
      out.y[i] = FromFloat<BF16>(SwigluValue(gate[i], up[i]));
      if (out.gate != nullptr) out.gate[i] = FromFloat<BF16>(gate[i]);
      if (out.up != nullptr) out.up[i] = FromFloat<BF16>(up[i]);
    }
  }

 private:
  FT_HOST_DEVICE static uint32_t Rounded(float low, float high) {
    return static_cast<uint32_t>(FromFloat<BF16>(low).bits) |
           static_cast<uint32_t>(FromFloat<BF16>(high).bits) << 16;
  }
  FT_HOST_DEVICE void WriteWords(int64_t first) const {
    Words16 y, gates, ups;
    FT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const auto g = LoadWords<Words16>(gate + first + 4 * half),
                 u = LoadWords<Words16>(up + first + 4 * half);
      FT_UNROLL
      for (int i = 0; i < 2; ++i) {
        const float g0 = std::bit_cast<float>(g.word[2 * i]), g1 = std::bit_cast<float>(g.word[2 * i + 1]),
                    u0 = std::bit_cast<float>(u.word[2 * i]), u1 = std::bit_cast<float>(u.word[2 * i + 1]);
        y.word[2 * half + i] = Rounded(SwigluValue(g0, u0), SwigluValue(g1, u1));
        gates.word[2 * half + i] = Rounded(g0, g1);
        ups.word[2 * half + i] = Rounded(u0, u1);
      }
    }
    StoreWords(y, out.y + first);
    if (out.gate != nullptr) StoreWords(gates, out.gate + first);
    if (out.up != nullptr) StoreWords(ups, out.up + first);
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
