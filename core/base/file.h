// Files: whole-file reads with a bound, durable replacement, positioned reads. Errors name the path and the cause.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "core/base/status.h"

namespace ft {

// An open file descriptor that closes itself. Movable, not copyable.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd() { Reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset();

 private:
  int fd_ = -1;
};

// A status for a failed system call: "what path: strerror". ENOSPC and EDQUOT become RESOURCE_EXHAUSTED, ENOENT
// NOT_FOUND, EACCES and EPERM PERMISSION_DENIED, all else INTERNAL.
Status ErrnoStatus(std::string_view what, const std::filesystem::path& path, int error_number);

// The file's bytes. INVALID_ARGUMENT when it is longer than max_bytes.
StatusOr<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 30);

// Writes beside, fsyncs, renames over path and fsyncs the folder: afterwards the file holds either the old or the new
// content whole, also after a power loss.
Status WriteFileDurably(const std::filesystem::path& path, std::string_view content);

// Makes the names in a folder durable.
Status SyncDirectory(const std::filesystem::path& dir);

// Creates the folder and its parents.
Status MakeDirectories(const std::filesystem::path& dir);

// A file open for positioned reads. Thread-safe.
class RandomAccessFile {
 public:
  static StatusOr<RandomAccessFile> Open(const std::filesystem::path& path);
  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  // Fills `out` from `offset`; OUT_OF_RANGE when the file is too short.
  Status ReadAt(uint64_t offset, std::span<std::byte> out) const;

 private:
  RandomAccessFile(UniqueFd fd, uint64_t size, std::filesystem::path path)
      : fd_(std::move(fd)), size_(size), path_(std::move(path)) {}
  UniqueFd fd_;
  uint64_t size_;
  std::filesystem::path path_;
};

// A read-only memory map of a whole file; an empty file maps to an empty span.
class MappedFile {
 public:
  static StatusOr<MappedFile> Open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ft
