// The part of the zip format that PyTorch's archives use: entries stored without compression, found through
// the central directory (with the zip64 extension), so that their bytes can be read in place with pread.
// Source: PKWARE's APPNOTE. libzip does not give away where an entry's bytes lie, and its handles are not
// thread-safe; hence a reader of our own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/base/file.h"

namespace ft::weights {

// Immutable and thread-safe. Errors are INVALID_ARGUMENT; Open names the file, the others the entry only.
class StoredZip {
 public:
  struct StoredRange {
    uint64_t offset = 0;  // In the file.
    uint64_t size = 0;
  };

  static StatusOr<StoredZip> Open(const std::filesystem::path& path);
  const RandomAccessFile& file() const { return file_; }
  bool Contains(std::string_view name) const { return entries_.find(name) != entries_.end(); }
  // The name of the one entry "<folder>/<base>". INVALID_ARGUMENT when there is none or more than one.
  StatusOr<std::string> FindInFolder(std::string_view base) const;
  // Where the entry's bytes lie: checked to be within the file. INVALID_ARGUMENT for a compressed or
  // encrypted entry.
  StatusOr<StoredRange> Locate(std::string_view name) const;
  // The entry's bytes. INVALID_ARGUMENT when there are more than max_bytes.
  StatusOr<std::string> Read(std::string_view name, uint64_t max_bytes) const;

 private:
  struct Entry {
    uint64_t header_offset = 0;
    uint64_t stored_size = 0;
    uint64_t size = 0;
    uint16_t method = 0;
    uint16_t flags = 0;
  };
  struct Directory {
    uint64_t entries = 0;
    uint64_t size = 0;
    uint64_t offset = 0;
  };

  explicit StoredZip(RandomAccessFile file) : file_(std::move(file)) {}
  StatusOr<Directory> FindDirectory() const;
  StatusOr<Directory> FindDirectory64(uint64_t end_offset) const;
  Status ReadDirectory(const Directory& directory);

  RandomAccessFile file_;
  std::map<std::string, Entry, std::less<>> entries_;
  uint64_t data_end_ = 0;  // The central directory begins here.
};

}  // namespace ft::weights
