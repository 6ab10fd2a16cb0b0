#include "worker/node/agent/log_tail.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/file.h"

namespace ft::agent {
namespace {

// Holes begin and end where blocks do.
constexpr int64_t kBlock = 4096;

// Where the file's first data lie: behind the hole that Trim has made, which thus needs no note of its own.
int64_t OldestByte(int fd) {
  const off_t data = ::lseek(fd, 0, SEEK_DATA);
  return data < 0 ? 0 : data;
}

}  // namespace

int64_t LogTail::Backlog() const {
  const UniqueFd fd(::open(file_.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return 0;
  return std::max<int64_t>(0, info.st_size - std::max(acked_, OldestByte(fd.get())));
}

StatusOr<LogTail::Piece> LogTail::Next(size_t max_bytes) const {
  const UniqueFd fd(::open(file_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno == ENOENT ? StatusOr<Piece>(Piece{}) : ErrnoStatus("open", file_, errno);
  Piece piece{.oldest = OldestByte(fd.get())};
  piece.offset = std::max(acked_, piece.oldest);
  piece.data.resize(max_bytes);
  const ssize_t got = ::pread(fd.get(), piece.data.data(), piece.data.size(), piece.offset);
  if (got < 0) return ErrnoStatus("read", file_, errno);
  piece.data.resize(static_cast<size_t>(got));
  return piece;
}

Status LogTail::Trim() {
  struct stat info {};
  if (no_holes_ || ::stat(file_.c_str(), &info) != 0) return absl::OkStatus();
  // Blocks that a hole has taken are not counted.
  if (std::min<int64_t>(info.st_size, info.st_blocks * 512) <= keep_bytes_) return absl::OkStatus();
  const UniqueFd fd(::open(file_.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus("open", file_, errno);
  const int64_t hole = (info.st_size - keep_bytes_ / 2) / kBlock * kBlock;
  if (::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, hole) == 0)
    return absl::OkStatus();
  if (errno != EOPNOTSUPP) return ErrnoStatus("shorten", file_, errno);
  no_holes_ = true;
  spdlog::warn("{} grows without bound: its file system gives no disk back in the middle of files",
               file_.string());
  return absl::OkStatus();
}

}  // namespace ft::agent
