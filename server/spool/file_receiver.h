// Takes one file in pieces: appended to `<path>.part`, checked against its digest at the end, then renamed. A
// transfer that broke off goes on after the last piece that was made durable: `<path>.part.state` holds how much that is and
// where the digest stands, so nothing is read again. One thread.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/file.h"
#include "core/base/sha256.h"

namespace ft::spool {

struct ExpectedFile {
  std::filesystem::path path;
  std::string sha256;
  int64_t size = 0;
  int64_t max_size = 0;
};

class FileReceiver {
 public:
  // INVALID_ARGUMENT for a digest or size that cannot be; UNAVAILABLE while another transfer of the file is under way.
  static StatusOr<FileReceiver> Open(const ExpectedFile& expected);
  // Bytes of the unfinished file at `path` that need not be sent again.
  static int64_t SavedBytes(const std::filesystem::path& path);
  // Bytes there so far; the next piece starts there.
  int64_t received() const { return received_; }
  bool complete() const { return complete_; }
  // OUT_OF_RANGE beyond received(); what is there already is skipped. The last piece checks, syncs and renames.
  Status Append(int64_t offset, const std::string& data);
  // Makes what has come durable. Append() does too, now and then.
  Status Save();

 private:
  Status Restore();
  Status Finish();
  ExpectedFile expected_;
  std::filesystem::path part_;
  std::filesystem::path state_;
  UniqueFd fd_;
  Sha256 digest_;
  int64_t received_ = 0;
  int64_t saved_ = 0;
  bool complete_ = false;
};

}  // namespace ft::spool
