// NF4 as kernel bodies (kernels/grid/grid.h): quantisation, dequantisation, and that of the block
// maxima. Bit-equal to the definitions in nf4.h. Pointers are of the device that runs the body.
#pragma once

#include "kernels/grid/grid.h"
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

// One thread writes the two values of one byte.
template <typename T>
struct Nf4DequantiseBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  const uint8_t* packed = nullptr;
  const float* absmax = nullptr;
  int64_t count = 0;
  T* out = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(packed), f(absmax), f(out);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor((count + 1) / 2, kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    const int64_t i = 2 * at.index();
    if (i >= count) return;
    const uint8_t byte = packed[i / 2];
    const float scale = absmax[i / kNf4Block];
    out[i] = FromFloat<T>(Nf4Value(byte >> 4, scale));
    if (i + 1 < count) out[i + 1] = FromFloat<T>(Nf4Value(byte & 15, scale));
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
