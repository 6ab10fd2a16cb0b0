#include "worker/model/weights/tensor_source.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/check.h"
#include "worker/model/weights/expand.h"

namespace ft::weights {
namespace {

constexpr size_t kChunkValues = 1024;

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
  ASSIGN_OR_RETURN(const Expander expand, ExpanderOf(info));
  return ReadAndWiden(source, info, expand, out);
}

}  // namespace ft::weights
