#include "worker/model/weights/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "worker/model/weights/quantization.h"

namespace ft::weights {
namespace {

static_assert(std::endian::native == std::endian::little, "weight files are little-endian and read in place");

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr size_t kMaxNameBytes = 1024;

std::optional<DType> DTypeOf(std::string_view name) {
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32,
                            DType::kI16, DType::kI8, DType::kU8, DType::kBool}) {
    if (Name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

struct Entry {
  TensorInfo info;
  uint64_t begin = 0;  // From the end of the header.
  uint64_t end = 0;
};

// Takes the header's JSON event by event and stops at the first thing that the format does not know, so a
// hostile header costs no more memory than its own text.
class HeaderParser final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
  std::string error;  // Why parsing stopped.

  bool null() override { return Fail("null is no value of this format"); }
  bool boolean(bool) override { return Fail("true and false are no values of this format"); }
  bool number_integer(number_integer_t value) override {
    return Number(value < 0, static_cast<uint64_t>(value));
  }
  bool number_unsigned(number_unsigned_t value) override { return Number(false, value); }
  bool number_float(number_float_t, const string_t& text) override {
    return Fail(StrCat("'", text, "' is not a whole number"));
  }
  bool binary(binary_t&) override { return Fail("binary data in the header"); }
  bool string(string_t& value) override;
  bool key(string_t& key) override;
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return Fail(StrCat("no valid JSON at byte ", position, " of the header"));
  }

 private:
  enum class At { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };

  bool Fail(std::string_view why) {
    if (!error.empty()) return false;
    error = at_ == At::kTensor || at_ == At::kShape || at_ == At::kOffsets
                ? StrCat("tensor '", entries.back().info.name, "': ", why)
                : std::string(why);
    return false;
  }
  bool Number(bool negative, uint64_t value);

  At at_ = At::kStart;
  std::string key_;
  std::set<std::string, std::less<>> names_;
  std::set<std::string, std::less<>> fields_;  // Fields of the tensor at hand.
  size_t offsets_seen_ = 0;
};

bool HeaderParser::key(string_t& key) {
  if (at_ != At::kMetadata && key.size() > kMaxNameBytes) {
    return Fail(StrCat("a name of ", key.size(), " bytes"));
  }
  if (at_ == At::kTop) {
    if (!names_.insert(key).second) return Fail(StrCat("the name '", key, "' is there twice"));
  } else if (at_ == At::kMetadata) {
    if (metadata.contains(key)) return Fail(StrCat("the key '", key, "' is twice in __metadata__"));
  } else if (!fields_.insert(key).second) {
    return Fail(StrCat("the key '", key, "' is there twice"));
  } else if (key != "dtype" && key != "shape" && key != "data_offsets") {
    return Fail(StrCat("the key '", key, "' is unknown"));
  }
  key_ = key;
  return true;
}

bool HeaderParser::start_object(std::size_t) {
  if (at_ == At::kStart) {
    at_ = At::kTop;
  } else if (at_ == At::kTop && key_ == kMetadataKey) {
    at_ = At::kMetadata;
  } else if (at_ == At::kTop) {
    at_ = At::kTensor;
    fields_.clear();
    entries.emplace_back();
    entries.back().info.name = key_;
  } else {
    return Fail("an object where a plain value belongs");
  }
  return true;
}

bool HeaderParser::end_object() {
  if (at_ == At::kTensor && fields_.size() != 3) return Fail("it lacks dtype, shape or data_offsets");
  at_ = at_ == At::kTop ? At::kEnd : At::kTop;
  return true;
}

bool HeaderParser::string(string_t& value) {
  if (at_ == At::kMetadata) {
    metadata.emplace(key_, value);
    return true;
  }
  if (at_ != At::kTensor || key_ != "dtype" || value.size() > kMaxNameBytes) {
    return Fail("text where it does not belong");
  }
  const std::optional<DType> dtype = DTypeOf(value);
  if (!dtype) {
    return Fail(StrCat("type '", value, "' is not supported",
                       value.starts_with("F8") || value.starts_with("F4") ? " (packed floats)" : "",
                       TakeUnquantised()));
  }
  entries.back().info.dtype = *dtype;
  return true;
}

bool HeaderParser::start_array(std::size_t) {
  if (at_ == At::kTensor && key_ == "shape") {
    at_ = At::kShape;
  } else if (at_ == At::kTensor && key_ == "data_offsets") {
    at_ = At::kOffsets;
    offsets_seen_ = 0;
  } else {
    return Fail("a list where it does not belong");
  }
  return true;
}

bool HeaderParser::end_array() {
  if (at_ == At::kOffsets && offsets_seen_ != 2) return Fail("data_offsets needs two numbers");
  at_ = At::kTensor;
  return true;
}

bool HeaderParser::Number(bool negative, uint64_t value) {
  if (at_ != At::kShape && at_ != At::kOffsets) return Fail("a number where it does not belong");
  if (negative) return Fail(at_ == At::kShape ? "its shape has a negative size" : "a negative offset");
  Entry& entry = entries.back();
  if (at_ == At::kShape) {
    if (value > uint64_t{1} << 62) return Fail("its shape has more elements than can be counted");
    if (entry.info.shape.size() == kMaxDimensions) {
      return Fail(StrCat("more than ", kMaxDimensions, " dimensions"));
    }
    entry.info.shape.push_back(static_cast<int64_t>(value));
    return true;
  }
  if (offsets_seen_ == 2) return Fail("data_offsets needs two numbers");
  (offsets_seen_++ == 0 ? entry.begin : entry.end) = value;
  return true;
}

Status CheckSize(const Entry& entry, uint64_t data_bytes) {
  ASSIGN_OR_RETURN(const uint64_t elements, CheckedElements(entry.info.shape));
  ASSIGN_OR_RETURN(const uint64_t bytes, StoredBytes(entry.info.dtype, elements));
  if (entry.begin > entry.end || entry.end > data_bytes) {
    return absl::InvalidArgumentError(
        StrCat("its bytes ", entry.begin, " to ", entry.end, " do not lie within the ", data_bytes,
               " bytes of data; the file is damaged or incomplete; fetch it again"));
  }
  if (entry.end - entry.begin != bytes) {
    return absl::InvalidArgumentError(StrCat("type ", Name(entry.info.dtype), " and shape ",
                                             ShapeText(entry.info.shape), " need ", bytes,
                                             " bytes, its offsets give ", entry.end - entry.begin));
  }
  return absl::OkStatus();
}

// Sorts by position and checks that the tensors cover the data exactly.
Status CheckLayout(std::vector<Entry>& entries, uint64_t data_bytes) {
  for (const Entry& entry : entries) {
    RETURN_IF_ERROR(WithContext(CheckSize(entry, data_bytes), StrCat("tensor '", entry.info.name, "'")));
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t covered = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != covered) {
      return absl::InvalidArgumentError(StrCat(
          "tensor '", entry.info.name, "': ",
          entry.begin < covered ? "its bytes overlap another tensor's" : "there is a hole before its bytes"));
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    return absl::InvalidArgumentError(StrCat(data_bytes - covered, " bytes follow the last tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(RandomAccessFile file, RandomAccessFile::Open(path));
  std::unique_ptr<SafetensorsFile> opened(new SafetensorsFile(std::move(file)));
  RETURN_IF_ERROR(WithContext(opened->ReadHeader(), path.string()));
  return opened;
}

Status SafetensorsFile::ReadHeader() {
  uint64_t header_bytes = 0;
  if (file_.size() < sizeof(header_bytes)) {
    return absl::InvalidArgumentError(StrCat("not a safetensors file: it has only ", file_.size(), " bytes"));
  }
  RETURN_IF_ERROR(file_.ReadAt(0, std::as_writable_bytes(std::span(&header_bytes, 1))));
  if (header_bytes > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(StrCat("not a safetensors file: its header would have ", header_bytes,
                                             " bytes, more than the ", kMaxSafetensorsHeaderBytes,
                                             " allowed"));
  }
  if (header_bytes > file_.size() - sizeof(header_bytes)) {
    return absl::InvalidArgumentError(StrCat("the file ends within its header of ", header_bytes,
                                             " bytes; it is damaged or incomplete; fetch it again"));
  }
  std::string header(header_bytes, '\0');
  RETURN_IF_ERROR(file_.ReadAt(sizeof(header_bytes), std::as_writable_bytes(std::span(header))));
  if (header.empty() || header[0] != '{')
    return absl::InvalidArgumentError("the header does not begin with '{'");
  HeaderParser parser;
  if (!nlohmann::json::sax_parse(header, &parser)) return absl::InvalidArgumentError(parser.error);
  const uint64_t data_offset = sizeof(header_bytes) + header_bytes;
  RETURN_IF_ERROR(CheckLayout(parser.entries, file_.size() - data_offset));
  for (Entry& entry : parser.entries) {
    offsets_.push_back(data_offset + entry.begin);
    RETURN_IF_ERROR(table_.Add(std::move(entry.info)));
  }
  metadata_ = std::move(parser.metadata);
  return absl::OkStatus();
}

Status SafetensorsFile::ReadBytes(const TensorInfo& info, std::span<std::byte> out) const {
  ASSIGN_OR_RETURN(const uint64_t bytes, StoredBytes(info.dtype, info.elements()));
  FT_CHECK(out.size() == bytes) << info.name << ": " << out.size() << " of " << bytes;
  return ReadPart(info, 0, out);
}

Status SafetensorsFile::ReadPart(const TensorInfo& info, uint64_t first, std::span<std::byte> out) const {
  const std::optional<size_t> index = table_.IndexOf(info.name);
  if (!index) return absl::NotFoundError(StrCat(file_.path().string(), ": no tensor '", info.name, "'"));
  const TensorInfo& own = table_.tensors()[*index];
  ASSIGN_OR_RETURN(const uint64_t bytes, StoredBytes(own.dtype, own.elements()));
  FT_CHECK(first <= bytes && out.size() <= bytes - first) << info.name << ": " << first << " of " << bytes;
  return WithContext(file_.ReadAt(offsets_[*index] + first, out), StrCat("tensor '", info.name, "'"));
}

}  // namespace ft::weights
