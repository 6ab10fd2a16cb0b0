// 4-bit NormalFloat (Dettmers et al., QLoRA, arXiv 2305.14314) in the layout of bitsandbytes.
//
// Values in row-major order form blocks of 64. A block keeps the largest absolute value (absmax, float32);
// each value becomes the nearest of 16 codes to value / absmax. Two codes a byte, the first in the high four
// bits; an odd last byte has a zero low half. The last block may be short.
//
// Double quantisation: from each absmax the mean of all is taken off (`offset`, a float32), and what remains
// becomes the nearest of 256 values of the signed dynamic map (kernels/dynamic_map) to remainder / nested_absmax,
// one nested_absmax for 256 blocks.
//
// The inline functions are the definition, for host and device. The array functions below are SIMD,
// dispatched at run time and bit-equal to it. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

constexpr int64_t kNf4Block = 64;
constexpr int64_t kNestedBlock = 256;

inline constexpr float kNf4Code[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

// kNf4Code[code], also in device code, which cannot index an array of the host.
FT_HOST_DEVICE inline float Nf4CodeValue(int code) {
  constexpr auto table = std::to_array(kNf4Code);
  return table[static_cast<size_t>(code)];
}

// The number of blocks that `count` values form.
FT_HOST_DEVICE inline int64_t Nf4Blocks(int64_t count) { return (count + kNf4Block - 1) / kNf4Block; }

// The nearest code to value / absmax; the lower of two equally near. A block of zeros takes code 7, which is
// zero.
FT_HOST_DEVICE inline uint8_t Nf4Nearest(float value, float absmax) {
  if (absmax == 0) return 7;
  const float scaled = value / absmax;
  uint8_t code = 0;
  for (int i = 0; i < 15; ++i) {
    // Midpoints of neighbours are exact in float64.
    const double midpoint =
        (static_cast<double>(Nf4CodeValue(i)) + static_cast<double>(Nf4CodeValue(i + 1))) / 2;
    code = static_cast<uint8_t>(code + (static_cast<double>(scaled) > midpoint ? 1 : 0));
  }
  return code;
}

FT_HOST_DEVICE inline float Nf4Value(uint8_t code, float absmax) { return Nf4CodeValue(code) * absmax; }

// Blocks [first, last) of `count` values: their codes into packed[first*32 ...], their maxima into
// absmax[first ...].
void Nf4Quantise(const float* values, int64_t count, int64_t first, int64_t last, uint8_t* packed,
                 float* absmax);

// Blocks [first, last): packed and absmax as above, out = the values of all blocks, of which [first*64,
// last*64) (up to count) are written. bfloat16 is the float32 value rounded once.
template <typename T>
void Nf4Dequantise(const uint8_t* packed, const float* absmax, int64_t count, int64_t first, int64_t last,
                   T* out);

// Values [first, first + size) into out[0 ...]. Fast where `first` and `size` are multiples of 32.
template <typename T>
void Nf4DequantiseRange(const uint8_t* packed, const float* absmax, int64_t first, int64_t size, T* out);

// The number of nested blocks that `blocks` maxima form.
FT_HOST_DEVICE inline int64_t NestedBlocks(int64_t blocks) {
  return (blocks + kNestedBlock - 1) / kNestedBlock;
}

// The mean of the maxima: added up in order in float64, rounded once.
float NestedOffset(const float* absmax, int64_t blocks);

struct NestedOut {
  uint8_t* codes = nullptr;        // One byte a block.
  float* nested_absmax = nullptr;  // NestedBlocks(blocks) values.
};
// Quantises the maxima of nested blocks [first, last).
void NestedQuantise(const float* absmax, int64_t blocks, float offset, int64_t first, int64_t last,
                    const NestedOut& out);

struct NestedIn {
  const uint8_t* codes = nullptr;
  const float* nested_absmax = nullptr;
  float offset = 0;
};
// The maxima of blocks [first, last) into out[0 ...]: map[code] * nested_absmax + offset, rounded after each
// operation.
void NestedDequantise(const NestedIn& in, int64_t first, int64_t last, float* out);

// One maximum, given the map's value of its code: the definition of NestedDequantise.
FT_HOST_DEVICE inline float NestedValue(float map_value, float nested_absmax, float offset) {
  // Two statements: the product is rounded before the sum.
  const float product = map_value * nested_absmax;
  return product + offset;
}

}  // namespace ft::kernels
