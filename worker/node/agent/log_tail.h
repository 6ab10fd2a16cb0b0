// One of a rank's output files on its way to the coordinator. The rank appends to it without knowing of us, so it cannot be
// rotated by name; instead the disk under its beginning is given back (a hole), and offsets stay what they were. Bytes that
// were not shipped by then are lost, which the coordinator notes where they are missing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/base/status.h"

namespace ft::agent {

class LogTail {
 public:
  // Keeps between keep_bytes / 2 and keep_bytes of the file's end. REQUIRES: keep_bytes at least two pages of the file system.
  LogTail(std::string stream, std::filesystem::path file, int64_t keep_bytes)
      : stream_(std::move(stream)), file_(std::move(file)), keep_bytes_(keep_bytes) {}

  const std::string& stream() const { return stream_; }  // stdout | stderr
  int64_t acked() const { return acked_; }
  void set_acked(int64_t offset) { acked_ = offset; }
  // Bytes that can be shipped and are not yet acknowledged.
  int64_t Backlog() const;

  struct Piece {
    int64_t offset = 0;
    int64_t oldest = 0;  // Before this the file has nothing any more.
    std::string data;
  };
  // What comes next, at most max_bytes; no data when everything was shipped.
  StatusOr<Piece> Next(size_t max_bytes) const;
  // Gives disk back where the file has grown beyond keep_bytes.
  Status Trim();

 private:
  const std::string stream_;
  const std::filesystem::path file_;
  const int64_t keep_bytes_;
  int64_t acked_ = 0;
  bool no_holes_ = false;  // The file system makes none: the file grows.
};

}  // namespace ft::agent
