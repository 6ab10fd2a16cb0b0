// bfloat16 as stored: the upper half of a float32. Conversions are exact one way and round to nearest even
// the other; NaN stays NaN. Layout-compatible with c10::BFloat16.
#pragma once

#include <bit>
#include <cstdint>

#if defined(__CUDACC__)
#define FT_HOST_DEVICE __host__ __device__
#else
#define FT_HOST_DEVICE
#endif
// Before a loop whose arrays must be in registers on a device: their indices are known when it is compiled.
#if defined(__CUDA_ARCH__)
#define FT_UNROLL _Pragma("unroll")
#else
#define FT_UNROLL
#endif

namespace ft::kernels {

struct BF16 {
  uint16_t bits = 0;
};
static_assert(sizeof(BF16) == 2);

FT_HOST_DEVICE inline float ToFloat(BF16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}
FT_HOST_DEVICE inline float ToFloat(float value) { return value; }

// FromFloat<T>(value): `value` rounded to T.
template <typename T>
FT_HOST_DEVICE T FromFloat(float value);
template <>
FT_HOST_DEVICE inline float FromFloat<float>(float value) {
  return value;
}
template <>
FT_HOST_DEVICE inline BF16 FromFloat<BF16>(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return BF16{static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return BF16{static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace ft::kernels
