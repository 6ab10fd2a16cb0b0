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

// SwigluForwardRounded of rows that may lie apart: a thread takes 8 values of a row, by accesses of 16 bytes where addresses allow it. What is
// dense is one row.
struct SwigluForwardRoundedBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  static constexpr int kValues = 8;
  using Shared = NoSharedMemory;

  int64_t rows = 1;
  int64_t columns = 0;
  const float* gate = nullptr;
  const float* up = nullptr;
  SwigluRounded out;  // The copies of gate and up are dense.
  // Values from row to row of gate and up, and of y; 0 = they are dense.
  int64_t in_stride = 0;
  int64_t y_stride = 0;

  template <typename F>
  void Pointers(F f) {
    f(gate), f(up), f(out.y), f(out.gate), f(out.up);
  }
  FT_HOST_DEVICE int64_t InStride() const { return in_stride == 0 ? columns : in_stride; }
  FT_HOST_DEVICE int64_t YStride() const { return y_stride == 0 ? columns : y_stride; }
  bool IsDense() const { return rows == 1 || (InStride() == columns && YStride() == columns); }
  // Where the results of a row go.
  FT_HOST_DEVICE SwigluRounded OutOf(int64_t row) const {
    const SwigluRounded dense = out.From(row * columns);
    return {out.y + row * YStride(), dense.gate, dense.up};
  }
  // Of a row's values.
  FT_HOST_DEVICE int64_t Threads() const { return (columns + kValues - 1) / kValues; }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(rows * Threads(), kThreads); }
  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    if (at.index() >= rows * Threads()) return;
    const int64_t row = at.index() / Threads(), first = at.index() % Threads() * kValues;
    const int64_t in = row * InStride() + first;
    const Piece piece{gate + in, up + in, OutOf(row).From(first)};
    const int64_t rest = columns - first;
    if (rest >= kValues && piece.IsAlignedToWords()) return piece.WriteWords();
    piece.WriteValues(rest < kValues ? rest : kValues);
  }

 private:
  // What one thread reads and writes.
  struct Piece {
    const float* gate;
    const float* up;
    SwigluRounded out;

    FT_HOST_DEVICE bool IsAlignedToWords() const {
      return IsAligned<Words16>(gate) && IsAligned<Words16>(up) && IsAligned<Words16>(out.y) &&
             IsAligned<Words16>(out.gate) && IsAligned<Words16>(out.up);
    }
    FT_HOST_DEVICE void WriteValues(int64_t count) const {
      for (int64_t i = 0; i < count; ++i) {
        out.y[i] = FromFloat<BF16>(SwigluValue(gate[i], up[i]));
        if (out.gate != nullptr) out.gate[i] = FromFloat<BF16>(gate[i]);
        if (out.up != nullptr) out.up[i] = FromFloat<BF16>(up[i]);
      }
    }
    FT_HOST_DEVICE void WriteWords() const {
      Words16 y, gates, ups;
      FT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const auto g = LoadWords<Words16>(gate + 4 * half), u = LoadWords<Words16>(up + 4 * half);
        FT_UNROLL
        for (int i = 0; i < 2; ++i) {
          const float g0 = std::bit_cast<float>(g.word[2 * i]), g1 = std::bit_cast<float>(g.word[2 * i + 1]),
                      u0 = std::bit_cast<float>(u.word[2 * i]), u1 = std::bit_cast<float>(u.word[2 * i + 1]);
          y.word[2 * half + i] = Rounded(SwigluValue(g0, u0), SwigluValue(g1, u1));
          gates.word[2 * half + i] = Rounded(g0, g1);
          ups.word[2 * half + i] = Rounded(u0, u1);
        }
      }
      StoreWords(y, out.y);
      if (out.gate != nullptr) StoreWords(gates, out.gate);
      if (out.up != nullptr) StoreWords(ups, out.up);
    }
  };

  FT_HOST_DEVICE static uint32_t Rounded(float low, float high) {
    return static_cast<uint32_t>(FromFloat<BF16>(low).bits) |
           static_cast<uint32_t>(FromFloat<BF16>(high).bits) << 16;
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
