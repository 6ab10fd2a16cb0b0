#include "worker/model/weights/expand.h"

#include <bit>
#include <cstring>

#include "core/base/check.h"

namespace ft::weights {
namespace {

// Block formats as ggml defines them: 32 values share a half-precision scale d, and Q4_1 also a
// half-precision minimum m. 4-bit codes: the low halves of the 16 bytes are values 0..15, the high halves
// values 16..31.
constexpr uint64_t kBlockValues = 32;
constexpr uint64_t kQ8_0BlockBytes = 2 + 32;      // d, then 32 signed bytes: value = d * code
constexpr uint64_t kQ4_0BlockBytes = 2 + 16;      // d, then codes:           value = d * (code - 8)
constexpr uint64_t kQ4_1BlockBytes = 2 + 2 + 16;  // d, m, then codes:        value = d * code + m

// Exact, also for subnormal values, whatever the processor's flush-to-zero setting: no float operand is
// subnormal.
inline float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  const uint32_t subnormal =
      std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(mantissa)) * 0x1p-24f);
  const uint32_t normal = ((exponent + 112) << 23) | (mantissa << 13);
  const uint32_t special = 0x7f800000u | (mantissa << 13);
  const uint32_t magnitude = exponent == 0 ? subnormal : exponent == 31 ? special : normal;
  return std::bit_cast<float>(sign | magnitude);
}

inline float BFloat16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

inline float HalfAt(const std::byte* at) {
  uint16_t half;
  std::memcpy(&half, at, sizeof(half));
  return HalfToFloat(half);
}

template <float (*kConvert)(uint16_t)>
void ExpandSixteenBit(const std::byte* in, size_t values, float* out) {
  for (size_t i = 0; i < values; ++i) {
    uint16_t bits;
    std::memcpy(&bits, in + 2 * i, sizeof(bits));
    out[i] = kConvert(bits);
  }
}

void ExpandQ8_0(const std::byte* in, size_t values, float* out) {
  for (size_t base = 0; base < values; base += kBlockValues, in += kQ8_0BlockBytes) {
    const float scale = HalfAt(in);
    for (size_t i = 0; i < kBlockValues; ++i) {
      out[base + i] = scale * static_cast<float>(static_cast<int8_t>(in[2 + i]));
    }
  }
}

void ExpandQ4_0(const std::byte* in, size_t values, float* out) {
  for (size_t base = 0; base < values; base += kBlockValues, in += kQ4_0BlockBytes) {
    const float scale = HalfAt(in);
    for (size_t i = 0; i < kBlockValues / 2; ++i) {
      const int codes = std::to_integer<int>(in[2 + i]);
      out[base + i] = scale * static_cast<float>((codes & 15) - 8);
      out[base + kBlockValues / 2 + i] = scale * static_cast<float>((codes >> 4) - 8);
    }
  }
}

void ExpandQ4_1(const std::byte* in, size_t values, float* out) {
  for (size_t base = 0; base < values; base += kBlockValues, in += kQ4_1BlockBytes) {
    const float scale = HalfAt(in);
    const float minimum = HalfAt(in + 2);
    for (size_t i = 0; i < kBlockValues / 2; ++i) {
      const int codes = std::to_integer<int>(in[4 + i]);
      out[base + i] = scale * static_cast<float>(codes & 15) + minimum;
      out[base + kBlockValues / 2 + i] = scale * static_cast<float>(codes >> 4) + minimum;
    }
  }
}

template <typename Stored>
void Convert(const std::byte* in, size_t values, float* out) {
  for (size_t i = 0; i < values; ++i) {
    Stored value;
    std::memcpy(&value, in + sizeof(value) * i, sizeof(value));
    out[i] = static_cast<float>(value);
  }
}

}  // namespace

Unit UnitOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64: return {1, 8};
    case DType::kF32:
    case DType::kI32: return {1, 4};
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16: return {1, 2};
    case DType::kI8:
    case DType::kU8:
    case DType::kBool: return {1, 1};
    case DType::kQ8_0: return {kBlockValues, kQ8_0BlockBytes};
    case DType::kQ4_0: return {kBlockValues, kQ4_0BlockBytes};
    case DType::kQ4_1: return {kBlockValues, kQ4_1BlockBytes};
  }
  FT_CHECK(false) << "dtype " << static_cast<int>(dtype);
  return {1, 1};
}

StatusOr<Expander> ExpanderOf(const TensorInfo& info) {
  switch (info.dtype) {
    case DType::kF64: return Convert<double>;
    case DType::kF32: return Convert<float>;
    case DType::kF16: return ExpandSixteenBit<HalfToFloat>;
    case DType::kBF16: return ExpandSixteenBit<BFloat16ToFloat>;
    case DType::kQ8_0: return ExpandQ8_0;
    case DType::kQ4_0: return ExpandQ4_0;
    case DType::kQ4_1: return ExpandQ4_1;
    default:
      return absl::InvalidArgumentError(StrCat("tensor '", info.name, "' has type ", Name(info.dtype),
                                               ", which holds no floating-point weights"));
  }
}

}  // namespace ft::weights
