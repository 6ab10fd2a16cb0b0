#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "worker/model/weights/safetensors.h"

namespace ft::weights {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHeaderAlignment = 8;
// What is written between two looks at the disk: the slowest disk that is of use takes it in a second or two.
constexpr int64_t kWindow = int64_t{8} << 20;

// A file system that cannot do this for a part of a file does it for the whole. An error of the disk is told only once, so
// it counts here.
Status SyncRange(const UniqueFd& fd, const fs::path& path, int64_t begin, int64_t size, unsigned flags) {
  if (size <= 0 || ::sync_file_range(fd.get(), begin, size, flags) == 0) return absl::OkStatus();
  const bool of_the_disk = errno == EIO || errno == ENOSPC || errno == EDQUOT;
  if (!of_the_disk && ::fdatasync(fd.get()) == 0) return absl::OkStatus();
  return ErrnoStatus("write", path, errno);
}

StatusOr<std::string> Quoted(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError("a name or metadata text is not valid UTF-8");
  }
}

StatusOr<std::string> MetadataJson(const SafetensorsWriter::Metadata& metadata) {
  std::string text = "{";
  for (const auto& [key, value] : metadata) {
    ASSIGN_OR_RETURN(const std::string quoted_key, Quoted(key));
    ASSIGN_OR_RETURN(const std::string quoted_value, Quoted(value));
    StrAppend(&text, text.size() > 1 ? "," : "", quoted_key, ":", quoted_value);
  }
  return text + "}";
}

StatusOr<uint64_t> WritableBytes(const TensorInfo& info) {
  if (info.dtype == DType::kQ8_0 || info.dtype == DType::kQ4_0 || info.dtype == DType::kQ4_1) {
    return absl::InvalidArgumentError(StrCat("the safetensors format has no type ", Name(info.dtype)));
  }
  ASSIGN_OR_RETURN(const uint64_t elements, CheckedElements(info.shape));
  return StoredBytes(info.dtype, elements);
}

struct Header {
  std::string bytes;  // With the length before it.
  uint64_t data_bytes = 0;
};

StatusOr<Header> MakeHeader(std::span<const TensorInfo> tensors,
                            const SafetensorsWriter::Metadata& metadata) {
  Header header;
  std::string json = "{";
  if (!metadata.empty()) {
    ASSIGN_OR_RETURN(const std::string text, MetadataJson(metadata));
    StrAppend(&json, "\"__metadata__\":", text);
  }
  std::set<std::string_view> names;
  for (const TensorInfo& info : tensors) {
    if (!names.insert(info.name).second || info.name == "__metadata__") {
      return absl::InvalidArgumentError(StrCat("tensor name '", info.name, "' is taken"));
    }
    StatusOr<uint64_t> bytes = WritableBytes(info);
    RETURN_IF_ERROR(WithContext(bytes.status(), StrCat("tensor '", info.name, "'")));
    ASSIGN_OR_RETURN(const std::string name, Quoted(info.name));
    std::string shape;
    for (const int64_t dimension : info.shape) StrAppend(&shape, shape.empty() ? "" : ",", dimension);
    StrAppend(&json, json.size() > 1 ? "," : "", name, ":{\"dtype\":\"", Name(info.dtype), "\",\"shape\":[",
              shape, "],\"data_offsets\":[", header.data_bytes, ",", header.data_bytes + *bytes, "]}");
    header.data_bytes += *bytes;
  }
  json += "}";
  json.append((kHeaderAlignment - json.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  if (json.size() > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(StrCat("the header would have ", json.size(), " bytes, more than the ",
                                             kMaxSafetensorsHeaderBytes, " allowed; write several files"));
  }
  const uint64_t length = json.size();
  header.bytes.assign(reinterpret_cast<const char*>(&length), sizeof(length));
  header.bytes += json;
  return header;
}

fs::path FolderOf(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

StatusOr<SafetensorsWriter> SafetensorsWriter::Create(const fs::path& path,
                                                      std::span<const TensorInfo> tensors,
                                                      const Metadata& metadata, Progress progress) {
  static std::atomic<uint64_t> counter{0};
  StatusOr<Header> header = MakeHeader(tensors, metadata);
  RETURN_IF_ERROR(WithContext(header.status(), path.string()));
  const fs::path beside = FolderOf(path) / StrCat(".", path.filename().string(), ".", ::getpid(), ".",
                                                  counter.fetch_add(1), ".tmp");
  UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus("create", beside, errno);
  SafetensorsWriter writer(path, beside, std::move(fd));
  writer.progress_ = std::move(progress);
  RETURN_IF_ERROR(writer.Write(std::as_bytes(std::span(header->bytes))));
  writer.remaining_ = header->data_bytes;
  return writer;
}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_.valid()) ::unlink(beside_.c_str());
}

Status SafetensorsWriter::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), static_cast<size_t>(synced_ + kWindow - written_));
    RETURN_IF_ERROR(WritePiece(bytes.first(size)));
    bytes = bytes.subspan(size);
    if (written_ - synced_ >= kWindow) RETURN_IF_ERROR(Sync());
  }
  return absl::OkStatus();
}

Status SafetensorsWriter::WritePiece(std::span<const std::byte> bytes) {
  sha256_.Update(bytes);
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus("write", path_, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
    written_ += written;
  }
  return absl::OkStatus();
}

Status SafetensorsWriter::Sync() {
  RETURN_IF_ERROR(SyncRange(fd_, path_, synced_, written_ - synced_, SYNC_FILE_RANGE_WRITE));
  const int64_t before = std::min(synced_, kWindow);
  RETURN_IF_ERROR(
      SyncRange(fd_, path_, synced_ - before, before,
                SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
  synced_ = written_;
  if (progress_) progress_(written_);
  return absl::OkStatus();
}

Status SafetensorsWriter::Append(std::span<const std::byte> bytes) {
  if (bytes.size() > remaining_) {
    return absl::InvalidArgumentError(
        StrCat(path_.string(), ": ", bytes.size(), " bytes given where ", remaining_, " are left to write"));
  }
  RETURN_IF_ERROR(Write(bytes));
  remaining_ -= bytes.size();
  return absl::OkStatus();
}

StatusOr<std::string> SafetensorsWriter::Finish() {
  if (remaining_ != 0) {
    return absl::InvalidArgumentError(StrCat(path_.string(), ": ", remaining_, " bytes were not given"));
  }
  if (::fsync(fd_.get()) != 0) return ErrnoStatus("sync", path_, errno);
  if (progress_) progress_(written_);
  if (::rename(beside_.c_str(), path_.c_str()) != 0) return ErrnoStatus("rename to", path_, errno);
  if (::close(fd_.Release()) != 0) return ErrnoStatus("close", path_, errno);
  RETURN_IF_ERROR(SyncDirectory(FolderOf(path_)));
  return Hex(sha256_.Finish());
}

StatusOr<std::string> WriteSafetensors(const fs::path& path, std::span<const TensorData> tensors,
                                       const SafetensorsWriter::Metadata& metadata,
                                       SafetensorsWriter::Progress progress) {
  std::vector<TensorInfo> infos;
  infos.reserve(tensors.size());
  for (const TensorData& tensor : tensors) infos.push_back(tensor.info);
  ASSIGN_OR_RETURN(SafetensorsWriter writer,
                   SafetensorsWriter::Create(path, infos, metadata, std::move(progress)));
  for (const TensorData& tensor : tensors) {
    ASSIGN_OR_RETURN(const uint64_t bytes, StoredBytes(tensor.info.dtype, tensor.info.elements()));
    if (tensor.bytes.size() != bytes) {
      return absl::InvalidArgumentError(StrCat(path.string(), ": tensor '", tensor.info.name, "' needs ",
                                               bytes, " bytes, ", tensor.bytes.size(), " given"));
    }
    RETURN_IF_ERROR(writer.Append(tensor.bytes));
  }
  return writer.Finish();
}

}  // namespace ft::weights
