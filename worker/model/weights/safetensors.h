// The safetensors format: an 8-byte little-endian header length, a JSON header {"name": {"dtype", "shape",
// "data_offsets": [begin, end]}, "__metadata__": {string: string}}, and the tensors' bytes, counted from the
// header's end. Source: the format description of the safetensors project. Readers refuse whatever that
// description forbids: offsets out of range, overlaps, holes, bytes behind the last tensor, duplicate names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "worker/model/weights/tensor_source.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::weights {

constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

// One file, open for reading. Immutable and thread-safe. The header is checked whole in Open; the weights are
// read with pread when asked for. Errors are INVALID_ARGUMENT and name the file and the tensor.
class SafetensorsFile final : public TensorSource {
 public:
  static StatusOr<std::unique_ptr<SafetensorsFile>> Open(const std::filesystem::path& path);
  // The header's __metadata__; empty when there is none.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // By position in the file.
  const std::vector<TensorInfo>& tensors() const override { return table_.tensors(); }
  const TensorInfo* Find(std::string_view name) const override { return table_.Find(name); }
  Status ReadBytes(const TensorInfo& info, std::span<std::byte> out) const override;
  Status ReadPart(const TensorInfo& info, uint64_t first, std::span<std::byte> out) const override;

 private:
  explicit SafetensorsFile(RandomAccessFile file) : file_(std::move(file)) {}
  Status ReadHeader();

  RandomAccessFile file_;
  TensorTable table_;
  std::vector<uint64_t> offsets_;  // In the file, by index in table_.
  std::map<std::string, std::string> metadata_;
};

// A tensor to write. `bytes` is borrowed.
struct TensorData {
  TensorInfo info;
  std::span<const std::byte> bytes;
};

// Writes one file piece by piece, so that no more than one piece is in memory. Equal input gives equal bytes:
// tensors lie in the order given, the header is padded with spaces to a multiple of 8. The bytes go to a
// temporary file beside the target, which appears, durable and whole, in Finish; a writer destroyed before
// that leaves nothing. One thread.
class SafetensorsWriter {
 public:
  using Metadata = std::map<std::string, std::string>;
  // Called with the bytes of the file so far, every few MiB. They are on their way to the disk, and all but
  // the last few MiB have reached it: what is slow is seen to be slow, and Finish has little left to wait
  // for.
  using Progress = std::function<void(int64_t bytes)>;

  // Writes the header. INVALID_ARGUMENT for block types, duplicate names, names that are not UTF-8 or
  // "__metadata__".
  static StatusOr<SafetensorsWriter> Create(const std::filesystem::path& path,
                                            std::span<const TensorInfo> tensors, const Metadata& metadata,
                                            Progress progress = nullptr);
  SafetensorsWriter(SafetensorsWriter&& other) noexcept = default;
  SafetensorsWriter& operator=(SafetensorsWriter&&) = delete;
  ~SafetensorsWriter();

  // The next bytes of the tensors laid end to end. INVALID_ARGUMENT past the end of the last.
  Status Append(std::span<const std::byte> bytes);
  // REQUIRES: all bytes were appended (else INVALID_ARGUMENT), called once. Returns the file's SHA-256 in
  // hexadecimal.
  StatusOr<std::string> Finish();

 private:
  SafetensorsWriter(std::filesystem::path path, std::filesystem::path beside, UniqueFd fd)
      : path_(std::move(path)), beside_(std::move(beside)), fd_(std::move(fd)) {}
  Status Write(std::span<const std::byte> bytes);
  // At most one window at a time.
  Status WritePiece(std::span<const std::byte> bytes);
  // Starts to bring what was written to the disk and waits for what was before it; then tells the progress.
  Status Sync();

  std::filesystem::path path_;
  std::filesystem::path beside_;
  UniqueFd fd_;  // Invalid once finished or moved from.
  Sha256 sha256_;
  uint64_t remaining_ = 0;  // Bytes still to be appended.
  int64_t written_ = 0;     // Bytes written to the file.
  int64_t synced_ = 0;      // Brought on their way to the disk.
  Progress progress_;
};

// Writes all tensors at once; see SafetensorsWriter. Returns the file's SHA-256 in hexadecimal. REQUIRES:
// each tensor's bytes have the size that its type and shape give (else INVALID_ARGUMENT).
StatusOr<std::string> WriteSafetensors(const std::filesystem::path& path, std::span<const TensorData> tensors,
                                       const SafetensorsWriter::Metadata& metadata,
                                       SafetensorsWriter::Progress progress = nullptr);

}  // namespace ft::weights
