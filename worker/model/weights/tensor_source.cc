#include "worker/model/weights/tensor_source.h"

#include <algorithm>
#include <array>
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

struct Unit {
  uint64_t values;
  uint64_t bytes;
};

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

constexpr size_t kChunkValues = 1024;

// Each expander turns `values` stored values into floats; `in` and `out` do not overlap.
using Expander = void (*)(const std::byte* in, size_t values, float* out);

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

// Null for types that are not read as float32 this way.
Expander ExpanderOf(DType dtype) {
  switch (dtype) {
    case DType::kF16: return ExpandSixteenBit<HalfToFloat>;
    case DType::kBF16: return ExpandSixteenBit<BFloat16ToFloat>;
    case DType::kQ8_0: return ExpandQ8_0;
    case DType::kQ4_0: return ExpandQ4_0;
    case DType::kQ4_1: return ExpandQ4_1;
    default: return nullptr;
  }
}

// Reads the stored bytes into the tail of `out` and widens them from the front, chunk by chunk through a
// small buffer, so that no second large buffer is needed. Safe because a value never takes more bytes stored
// than as a float: the floats written so far end at or before the first stored byte not yet copied out.
Status ReadAndWiden(const TensorSource& source, const TensorInfo& info, Expander expand,
                    std::span<float> out) {
  ASSIGN_OR_RETURN(const uint64_t stored, StoredBytes(info.dtype, out.size()));
  const std::span<std::byte> bytes = std::as_writable_bytes(out);
  const std::span<std::byte> tail = bytes.last(stored);
  RETURN_IF_ERROR(source.ReadBytes(info, tail));
  const Unit unit = UnitOf(info.dtype);
  std::array<std::byte, kChunkValues * 2> chunk;  // No format here has more than two bytes a value.
  size_t taken = 0;
  for (size_t done = 0; done < out.size();) {
    const size_t values = std::min(kChunkValues, out.size() - done);
    const size_t size = values / unit.values * unit.bytes;
    std::memcpy(chunk.data(), tail.data() + taken, size);
    expand(chunk.data(), values, out.data() + done);
    taken += size;
    done += values;
  }
  return absl::OkStatus();
}

Status ReadDoubles(const TensorSource& source, const TensorInfo& info, std::span<float> out) {
  std::vector<double> values(out.size());
  RETURN_IF_ERROR(source.ReadBytes(info, std::as_writable_bytes(std::span(values))));
  std::transform(values.begin(), values.end(), out.begin(),
                 [](double value) { return static_cast<float>(value); });
  return absl::OkStatus();
}

}  // namespace

Status TensorSource::ReadPart(const TensorInfo& info, uint64_t first, std::span<std::byte> out) const {
  ASSIGN_OR_RETURN(const uint64_t bytes, StoredBytes(info.dtype, info.elements()));
  FT_CHECK(first <= bytes && out.size() <= bytes - first) << info.name;
  std::vector<std::byte> all(bytes);
  RETURN_IF_ERROR(ReadBytes(info, all));
  std::memcpy(out.data(), all.data() + first, out.size());
  return absl::OkStatus();
}

const TensorInfo* TensorSource::Find(std::string_view name) const {
  const std::vector<TensorInfo>& all = tensors();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const TensorInfo& info) { return info.name == name; });
  return found == all.end() ? nullptr : &*found;
}

StatusOr<uint64_t> StoredBytes(DType dtype, uint64_t elements) {
  const Unit unit = UnitOf(dtype);
  if (elements % unit.values != 0) {
    return absl::InvalidArgumentError(
        StrCat(elements, " values do not fill whole ", Name(dtype), " blocks of ", unit.values));
  }
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(elements / unit.values, unit.bytes, &bytes)) {
    return absl::InvalidArgumentError(
        StrCat(elements, " values of type ", Name(dtype), " are more than can be stored"));
  }
  return bytes;
}

std::string_view Name(DType dtype) {
  switch (dtype) {
    case DType::kF64: return "F64";
    case DType::kF32: return "F32";
    case DType::kF16: return "F16";
    case DType::kBF16: return "BF16";
    case DType::kI64: return "I64";
    case DType::kI32: return "I32";
    case DType::kI16: return "I16";
    case DType::kI8: return "I8";
    case DType::kU8: return "U8";
    case DType::kBool: return "BOOL";
    case DType::kQ8_0: return "Q8_0";
    case DType::kQ4_0: return "Q4_0";
    case DType::kQ4_1: return "Q4_1";
  }
  return "unknown";
}

uint64_t TensorInfo::elements() const {
  uint64_t product = 1;
  for (const int64_t dimension : shape) product *= static_cast<uint64_t>(dimension);
  return product;
}

Status ReadFloat32(const TensorSource& source, const TensorInfo& info, std::span<float> out) {
  FT_CHECK(out.size() == info.elements()) << info.name << ": " << out.size() << " of " << info.elements();
  if (info.dtype == DType::kF32) return source.ReadBytes(info, std::as_writable_bytes(out));
  if (info.dtype == DType::kF64) return ReadDoubles(source, info, out);
  const Expander expand = ExpanderOf(info.dtype);
  if (expand == nullptr) {
    return absl::InvalidArgumentError(StrCat("tensor '", info.name, "' has type ", Name(info.dtype),
                                             ", which holds no floating-point weights"));
  }
  return ReadAndWiden(source, info, expand, out);
}

}  // namespace ft::weights
