#include "server/spool/durable.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "core/base/file.h"

namespace ft::spool {

Status WriteAt(int fd, std::string_view bytes, uint64_t offset, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return ErrnoStatus("write", path, written < 0 ? errno : ENOSPC);
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

Status SyncData(int fd, const std::filesystem::path& path) {
  return ::fdatasync(fd) == 0 ? absl::OkStatus() : ErrnoStatus("fdatasync", path, errno);
}

void DieUnless(const Status& synced) {
  if (synced.ok()) return;
  spdlog::critical("cannot make files durable, stopping at once: {}", std::string(Message(synced)));
  spdlog::shutdown();
  std::abort();
}

}  // namespace ft::spool
