#include "core/gguf/gguf_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>
#include <utility>

namespace ft::gguf {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian and read in place");

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kMaxHeaderBytes = 512 << 20;
constexpr uint64_t kMaxArrayLength = 16 << 20;
constexpr uint64_t kMaxTextBytes = 4 << 20;
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint64_t kMaxNameBytes = 1024;
constexpr uint64_t kMaxTensors = 1 << 20;
constexpr uint64_t kMaxAlignment = 1 << 20;
constexpr uint32_t kMaxSizes = 4;
constexpr uint64_t kSmallestEntry = 8 + 4 + 1;           // A key's length, a type, a value.
constexpr uint64_t kSmallestTensor = 8 + 4 + 8 + 4 + 8;  // Name's length, dimensions, one size, type, offset.

// The format's numbers of value types.
enum class Type : uint32_t {
  kUint8 = 0,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

// Reads the header front to back through a small buffer.
class Cursor {
 public:
  explicit Cursor(const RandomAccessFile& file) : file_(file) {}
  uint64_t position() const { return next_ - (filled_ - used_); }
  uint64_t remaining() const { return file_.size() - position(); }

  Status Fill(std::span<std::byte> out) {
    if (out.size() > remaining()) {
      return absl::InvalidArgumentError("the file ends within its header; fetch it again");
    }
    if (position() + out.size() > kMaxHeaderBytes) {
      return absl::InvalidArgumentError("its header is too long");
    }
    while (!out.empty()) {
      if (used_ == filled_) {
        filled_ = static_cast<size_t>(std::min<uint64_t>(buffer_.size(), file_.size() - next_));
        used_ = 0;
        RETURN_IF_ERROR(file_.ReadAt(next_, std::span(buffer_).first(filled_)));
        next_ += filled_;
      }
      const size_t size = std::min(out.size(), filled_ - used_);
      std::memcpy(out.data(), buffer_.data() + used_, size);
      used_ += size;
      out = out.subspan(size);
    }
    return absl::OkStatus();
  }

  template <typename T>
  StatusOr<T> Number() {
    T value{};
    RETURN_IF_ERROR(Fill(std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }

  StatusOr<std::string> Text(uint64_t max_bytes) {
    ASSIGN_OR_RETURN(const uint64_t size, Number<uint64_t>());
    if (size > max_bytes || size > remaining()) {
      return absl::InvalidArgumentError(StrCat("a text of ", size, " bytes does not fit"));
    }
    std::string text(static_cast<size_t>(size), '\0');
    RETURN_IF_ERROR(Fill(std::as_writable_bytes(std::span(text))));
    return text;
  }

 private:
  const RandomAccessFile& file_;
  std::array<std::byte, 65536> buffer_;
  uint64_t next_ = 0;  // In the file: where the buffer's bytes end.
  size_t filled_ = 0;
  size_t used_ = 0;
};

// A number, or an array of `length` numbers, of the file's type Stored.
template <typename Stored, typename Wide>
StatusOr<GgufValue> ReadNumbers(Cursor& cursor, std::optional<uint64_t> length) {
  if (!length) {
    ASSIGN_OR_RETURN(const Stored value, cursor.Number<Stored>());
    return GgufValue(static_cast<Wide>(value));
  }
  if (*length > cursor.remaining() / sizeof(Stored)) {
    return absl::InvalidArgumentError("the array reaches past the file");
  }
  std::vector<Stored> stored(static_cast<size_t>(*length));
  RETURN_IF_ERROR(cursor.Fill(std::as_writable_bytes(std::span(stored))));
  return GgufValue(std::vector<Wide>(stored.begin(), stored.end()));
}

StatusOr<GgufValue> ReadTexts(Cursor& cursor, std::optional<uint64_t> length) {
  if (!length) {
    ASSIGN_OR_RETURN(std::string text, cursor.Text(kMaxTextBytes));
    return GgufValue(std::move(text));
  }
  if (*length > cursor.remaining() / sizeof(uint64_t)) {
    return absl::InvalidArgumentError("the array reaches past the file");
  }
  std::vector<std::string> texts;
  texts.reserve(static_cast<size_t>(*length));
  for (uint64_t i = 0; i < *length; ++i) {
    ASSIGN_OR_RETURN(std::string text, cursor.Text(kMaxTextBytes));
    texts.push_back(std::move(text));
  }
  return GgufValue(std::move(texts));
}

StatusOr<GgufValue> ReadValue(Cursor& cursor, uint32_t type, std::optional<uint64_t> length) {
  switch (static_cast<Type>(type)) {
    case Type::kUint8: return ReadNumbers<uint8_t, uint64_t>(cursor, length);
    case Type::kInt8: return ReadNumbers<int8_t, int64_t>(cursor, length);
    case Type::kUint16: return ReadNumbers<uint16_t, uint64_t>(cursor, length);
    case Type::kInt16: return ReadNumbers<int16_t, int64_t>(cursor, length);
    case Type::kUint32: return ReadNumbers<uint32_t, uint64_t>(cursor, length);
    case Type::kInt32: return ReadNumbers<int32_t, int64_t>(cursor, length);
    case Type::kFloat32: return ReadNumbers<float, double>(cursor, length);
    case Type::kBool: return ReadNumbers<uint8_t, bool>(cursor, length);
    case Type::kString: return ReadTexts(cursor, length);
    case Type::kUint64: return ReadNumbers<uint64_t, uint64_t>(cursor, length);
    case Type::kInt64: return ReadNumbers<int64_t, int64_t>(cursor, length);
    case Type::kFloat64: return ReadNumbers<double, double>(cursor, length);
    case Type::kArray: break;
  }
  if (type == static_cast<uint32_t>(Type::kArray) && length) {
    return absl::InvalidArgumentError("an array of arrays is not supported");
  }
  if (type != static_cast<uint32_t>(Type::kArray)) {
    return absl::InvalidArgumentError(StrCat("value type ", type, " is unknown"));
  }
  ASSIGN_OR_RETURN(const uint32_t element_type, cursor.Number<uint32_t>());
  ASSIGN_OR_RETURN(const uint64_t elements, cursor.Number<uint64_t>());
  if (elements > kMaxArrayLength) {
    return absl::InvalidArgumentError(
        StrCat("an array of ", elements, " elements, more than the ", kMaxArrayLength, " allowed"));
  }
  return ReadValue(cursor, element_type, elements);
}

Status ReadMetadata(Cursor& cursor, uint64_t entries, GgufMetadata& metadata) {
  for (uint64_t i = 0; i < entries; ++i) {
    StatusOr<std::string> key = cursor.Text(kMaxKeyBytes);
    RETURN_IF_ERROR(WithContext(key.status(), StrCat("metadata entry ", i)));
    ASSIGN_OR_RETURN(const uint32_t type, cursor.Number<uint32_t>());
    StatusOr<GgufValue> value = ReadValue(cursor, type, std::nullopt);
    RETURN_IF_ERROR(WithContext(value.status(), StrCat("metadata '", *key, "'")));
    RETURN_IF_ERROR(metadata.Add(*std::move(key), *std::move(value)));
  }
  return absl::OkStatus();
}

StatusOr<GgufTensor> ReadTensor(Cursor& cursor) {
  GgufTensor tensor;
  ASSIGN_OR_RETURN(tensor.name, cursor.Text(kMaxNameBytes));
  ASSIGN_OR_RETURN(const uint32_t dimensions, cursor.Number<uint32_t>());
  if (dimensions == 0 || dimensions > kMaxSizes) {
    return absl::InvalidArgumentError(
        StrCat("tensor '", tensor.name, "' has ", dimensions, " dimensions, not 1 to 4"));
  }
  for (uint32_t i = 0; i < dimensions; ++i) {
    ASSIGN_OR_RETURN(const uint64_t size, cursor.Number<uint64_t>());
    if (size == 0 || size >= uint64_t{1} << 62) {
      return absl::InvalidArgumentError(
          StrCat("tensor '", tensor.name, "' has an impossible size of ", size));
    }
    tensor.sizes.push_back(size);
  }
  ASSIGN_OR_RETURN(tensor.type, cursor.Number<uint32_t>());
  ASSIGN_OR_RETURN(tensor.offset, cursor.Number<uint64_t>());
  return tensor;
}

Status CheckVersion(uint32_t version) {
  if (version == 2 || version == 3) return absl::OkStatus();
  if (version != 0 && (version & 0xffff) == 0) {
    return absl::InvalidArgumentError("the GGUF file is big-endian, which is not supported");
  }
  return absl::InvalidArgumentError(StrCat("GGUF version ", version, " is not supported, only 2 and 3 are"));
}

Status ReadAlignment(GgufHeader& header) {
  constexpr std::string_view kKey = "general.alignment";
  if (!header.metadata.values().contains(kKey)) return absl::OkStatus();
  const std::optional<uint64_t> alignment = header.metadata.Count(kKey);
  if (!alignment || *alignment < 8 || *alignment > kMaxAlignment || !std::has_single_bit(*alignment)) {
    return absl::InvalidArgumentError("general.alignment is not a power of two from 8 up");
  }
  header.alignment = *alignment;
  return absl::OkStatus();
}

}  // namespace

Status GgufMetadata::Add(std::string key, GgufValue value) {
  if (values_.contains(key)) {
    return absl::InvalidArgumentError(StrCat("the metadata key '", key, "' is there twice"));
  }
  values_.emplace(std::move(key), std::move(value));
  return absl::OkStatus();
}

std::optional<uint64_t> GgufMetadata::Count(std::string_view key) const {
  if (const uint64_t* count = Get<uint64_t>(key)) return *count;
  const int64_t* number = Get<int64_t>(key);
  if (number == nullptr || *number < 0) return std::nullopt;
  return static_cast<uint64_t>(*number);
}

const GgufTensor* GgufHeader::Find(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const GgufTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

StatusOr<GgufHeader> ReadGgufHeader(const RandomAccessFile& file) {
  Cursor cursor(file);
  std::array<char, kMagic.size()> magic{};
  if (cursor.remaining() >= magic.size()) {
    RETURN_IF_ERROR(cursor.Fill(std::as_writable_bytes(std::span(magic))));
  }
  if (std::string_view(magic.data(), magic.size()) != kMagic) {
    return absl::InvalidArgumentError("not a GGUF file: it does not begin with the letters GGUF");
  }
  ASSIGN_OR_RETURN(const uint32_t version, cursor.Number<uint32_t>());
  RETURN_IF_ERROR(CheckVersion(version));
  ASSIGN_OR_RETURN(const uint64_t tensors, cursor.Number<uint64_t>());
  ASSIGN_OR_RETURN(const uint64_t entries, cursor.Number<uint64_t>());
  if (tensors > kMaxTensors || tensors > cursor.remaining() / kSmallestTensor) {
    return absl::InvalidArgumentError(
        StrCat("its header promises ", tensors, " tensors, more than it can hold"));
  }
  if (entries > cursor.remaining() / kSmallestEntry) {
    return absl::InvalidArgumentError(
        StrCat("its header promises ", entries, " metadata entries, more than it can hold"));
  }
  GgufHeader header;
  RETURN_IF_ERROR(ReadMetadata(cursor, entries, header.metadata));
  RETURN_IF_ERROR(ReadAlignment(header));
  for (uint64_t i = 0; i < tensors; ++i) {
    StatusOr<GgufTensor> tensor = ReadTensor(cursor);
    RETURN_IF_ERROR(WithContext(tensor.status(), StrCat("tensor entry ", i)));
    header.tensors.push_back(*std::move(tensor));
  }
  header.data_offset = (cursor.position() + header.alignment - 1) / header.alignment * header.alignment;
  return header;
}

}  // namespace ft::gguf
