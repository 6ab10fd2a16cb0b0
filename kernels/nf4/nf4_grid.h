// NF4 as kernel bodies (kernels/grid/grid.h): quantisation, dequantisation, and that of the block
// maxima. Bit-equal to the definitions in nf4.h. Pointers are of the device that runs the body.
#pragma once

#include <bit>

#include "kernels/grid/grid.h"
#include "kernels/grid/words.h"
#include "kernels/nf4/nf4.h"

namespace ft::kernels {

// One block of threads quantises one block of 64 values.
struct Nf4QuantiseBody {
  static constexpr int kThreads = 64;
  static constexpr int kPhases = 3;
  struct Shared {
    float value[kThreads];
    float absmax;
  };

  const float* values = nullptr;
  int64_t count = 0;
  uint8_t* packed = nullptr;  // (count + 1) / 2 bytes.
  float* absmax = nullptr;    // One value a block.

  template <typename F>
  void Pointers(F f) {
    f(values), f(packed), f(absmax);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return Nf4Blocks(count); }

  FT_HOST_DEVICE void Run(int phase, const GridPoint& at, Shared& shared) const {
    const int64_t i = at.index();
    if (phase == 0) {
      shared.value[at.thread] = i < count ? values[i] : 0.0f;
    } else if (phase == 1) {
      if (at.thread == 0) absmax[at.block] = shared.absmax = AbsMax(shared);
    } else if (i < count && at.thread % 2 == 0) {
      const int high = Nf4Nearest(shared.value[at.thread], shared.absmax);
      const int low = i + 1 < count ? Nf4Nearest(shared.value[at.thread + 1], shared.absmax) : 0;
      packed[i / 2] = static_cast<uint8_t>(high << 4 | low);
    }
  }

  FT_HOST_DEVICE static float AbsMax(const Shared& shared) {
    float maximum = 0;
    for (float value : shared.value) {
      const float size = value < 0 ? -value : value;
      if (size > maximum) maximum = size;
    }
    return maximum;
  }
};

// The maxima of blocks: as they are, or with double quantisation.
struct Nf4Maxima {
  const float* absmax = nullptr;  // One value a block; null with double quantisation, and then:
  NestedIn nested = {};
  const float* map =
      nullptr;  // DynamicMapSigned() of kernels/dynamic_map, in the memory of the device that runs the body.

  FT_HOST_DEVICE float Of(int64_t block) const {
    if (absmax != nullptr) return absmax[block];
    return NestedValue(map[nested.codes[block]], nested.nested_absmax[block / kNestedBlock], nested.offset);
  }
};

// A thread dequantises groups of 16 values, which lie in one block: where they lie in one row and addresses allow it, by one read of 8
// bytes and writes of 16.
template <typename T>
struct Nf4DequantiseBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 2;
  static constexpr int kGroup = 16;
  static constexpr int kGroupsOfThread = 4;
  static constexpr int kLanes = 32;
  // Each lane of a warp reads a table of its own, in a memory bank of its own: lanes with unlike codes do not wait for each other.
  struct Shared {
    float value[16][kLanes];
  };

  const uint8_t* packed = nullptr;
  Nf4Maxima maxima = {};
  int64_t rows = 0, columns = 0;  // Of the matrix; its values are codes in row-major order.
  T* out = nullptr;
  int64_t stride = 0;  // Of the rows of `out`, at least `columns`; what lies between them is left alone.

  template <typename F>
  void Pointers(F f) {
    f(packed), f(maxima.absmax), f(maxima.nested.codes), f(maxima.nested.nested_absmax), f(maxima.map),
        f(out);
  }
  FT_HOST_DEVICE int64_t count() const { return rows * columns; }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(count(), kThreads * kGroup * kGroupsOfThread); }

  FT_HOST_DEVICE void Run(int phase, const GridPoint& at, Shared& shared) const {
    if (phase == 0) return FillTable(at.thread / kLanes, at.thread % kLanes, shared);
    const Codes codes{&shared.value[0][at.thread % kLanes]};
    for (int i = 0; i < kGroupsOfThread; ++i) {
      const int64_t first = ((at.block * kGroupsOfThread + i) * kThreads + at.thread) * kGroup;
      if (first < count()) WriteGroup(codes, first);
    }
  }

 private:
  // Each warp writes the rows whose turn it is. Every code is known when this is compiled, so that none is looked up in slow memory.
  FT_HOST_DEVICE static void FillTable(int warp, int lane, Shared& shared) {
    FT_UNROLL
    for (int code = 0; code < 16; ++code) {
      if (code % (kThreads / kLanes) == warp) shared.value[code][lane] = Nf4CodeValue(code);
    }
  }

  // A lane's table.
  struct Codes {
    const float* of_lane;
    FT_HOST_DEVICE float Value(uint32_t code) const { return of_lane[code * kLanes]; }
  };

  FT_HOST_DEVICE void WriteGroup(const Codes& codes, int64_t first) const {
    const int64_t row = first / columns, column = first - row * columns;
    const float absmax = maxima.Of(first / kNf4Block);
    T* const to = out + row * stride + column;
    const uint8_t* const from = packed + first / 2;
    if (column + kGroup <= columns && IsAligned<Words8>(from) && IsAligned<Words16>(to)) {
      WriteWords(codes, LoadWords<Words8>(from), absmax, to);
    } else {
      WriteOneByOne(codes, first, absmax, {row, column});
    }
  }

  // The value of the i-th code, of which bytes hold the first in their high half.
  FT_HOST_DEVICE static float ValueAt(const Codes& codes, const Words8& bytes, int i, float absmax) {
    const uint32_t byte = bytes.word[i / 8] >> (i % 8 / 2 * 8);
    return codes.Value((i % 2 == 0 ? byte >> 4 : byte) & 15u) * absmax;
  }

  FT_HOST_DEVICE static void WriteWords(const Codes& codes, const Words8& bytes, float absmax, T* to) {
    constexpr int kValuesOfWord = sizeof(uint32_t) / sizeof(T), kValuesOfWords = 4 * kValuesOfWord;
    FT_UNROLL
    for (int first = 0; first < kGroup; first += kValuesOfWords) {
      Words16 words;
      FT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int at = first + i * kValuesOfWord;
        if constexpr (kValuesOfWord == 1) {
          words.word[i] = std::bit_cast<uint32_t>(ValueAt(codes, bytes, at, absmax));
        } else {
          const uint32_t low = FromFloat<T>(ValueAt(codes, bytes, at, absmax)).bits;
          const uint32_t high = FromFloat<T>(ValueAt(codes, bytes, at + 1, absmax)).bits;
          words.word[i] = low | high << 16;
        }
      }
      StoreWords(words, to + first);
    }
  }

  struct Place {
    int64_t row, column;
  };
  FT_HOST_DEVICE void WriteOneByOne(const Codes& codes, int64_t first, float absmax, Place place) const {
    const int64_t end = first + kGroup < count() ? first + kGroup : count();
    for (int64_t i = first; i < end; ++i) {
      const uint32_t byte = packed[i / 2];
      out[place.row * stride + place.column] =
          FromFloat<T>(codes.Value((i % 2 == 0 ? byte >> 4 : byte) & 15u) * absmax);
      if (++place.column == columns) place = {place.row + 1, 0};
    }
  }
};

// One thread dequantises one block maximum of double quantisation.
struct NestedDequantiseBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  NestedIn in;
  const float* map =
      nullptr;  // DynamicMapSigned() of kernels/dynamic_map, in the memory of the device that runs the body.
  int64_t blocks = 0;
  float* out = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(in.codes), f(in.nested_absmax), f(map), f(out);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(blocks, kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    const int64_t i = at.index();
    if (i < blocks) out[i] = NestedValue(map[in.codes[i]], in.nested_absmax[i / kNestedBlock], in.offset);
  }
};

}  // namespace ft::kernels
