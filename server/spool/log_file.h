// One stream of what a rank printed, as the coordinator keeps it: a plain file of bytes. A node keeps the last part of a stream
// only; what it gave up before it was shipped is named by a line in the file, and beside it `<file>.gaps` tells where:
// one line `STORED LOST` for each, the file's length before the line and the bytes that are missing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/base/file.h"
#include "core/base/status.h"

namespace ft::spool {

// What no stream reaches: numbers beyond it come from a broken node or file, and sums of them would overflow.
inline constexpr int64_t kMaxStreamBytes = int64_t{1} << 60;

class LogFile {
 public:
  // Creates the file where there is none, and finishes a line that a crash cut off. DATA_LOSS where what is noted of gaps
  // cannot be.
  static StatusOr<LogFile> Open(std::filesystem::path path);

  // How many bytes that the rank printed are here or known to be lost.
  int64_t end() const;
  // Appends what the rank printed from end() on.
  Status Append(std::string_view data);
  // The next `bytes` bytes, at least 1, will never come. REQUIRES that end() stays within kMaxStreamBytes.
  Status NoteLoss(int64_t bytes);
  // Makes what was appended durable. After an error nobody knows what is on disk.
  Status Sync();

 private:
  struct Gap {
    int64_t stored = 0;
    int64_t lost = 0;
  };

  LogFile(std::filesystem::path path, UniqueFd fd, int64_t size)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}
  std::filesystem::path GapsPath() const;
  Status ReadGaps();
  Status FinishLine();

  std::filesystem::path path_;
  UniqueFd fd_;
  int64_t size_;
  std::vector<Gap> gaps_;
};

}  // namespace ft::spool
