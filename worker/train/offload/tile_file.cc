#include "worker/train/offload/tile_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "core/base/file.h"
#include "core/base/free_space.h"
#include "core/plan/state_tiles.h"

namespace ft::offload {
namespace {

namespace fs = std::filesystem;

class NamelessFile final : public TileFile {
 public:
  NamelessFile(UniqueFd fd, fs::path folder) : fd_(std::move(fd)), folder_(std::move(folder)) {}

  int64_t ReadAt(int64_t offset, std::span<std::byte> to) override {
    const ssize_t read = ::pread(fd_.get(), to.data(), to.size(), offset);
    return read < 0 ? -errno : read;
  }
  int64_t WriteAt(int64_t offset, std::span<const std::byte> from) override {
    const ssize_t written = ::pwrite(fd_.get(), from.data(), from.size(), offset);
    return written < 0 ? -errno : written;
  }
  const fs::path& folder() const override { return folder_; }

 private:
  const UniqueFd fd_;
  const fs::path folder_;
};

// File systems without nameless files have one whose name goes at once.
int OpenWithName(const fs::path& folder) {
  std::string name = (folder / ".tiles-XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd >= 0) ::unlink(name.c_str());
  return fd;
}

StatusOr<UniqueFd> OpenNameless(const fs::path& folder) {
  int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) fd = OpenWithName(folder);
  if (fd >= 0) return UniqueFd(fd);
  const int error = errno;
  if (error == EACCES || error == EPERM || error == EROFS) {
    return absl::PermissionDeniedError(StrCat("nothing can be written into ", folder.string(),
                                              ": let this user write there, or give another folder"));
  }
  return ErrnoStatus("open a file in", folder, error);
}

// Takes the blocks of the whole file.
Status Take(int fd, const fs::path& folder, int64_t bytes, std::string_view what) {
  if (bytes == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint64_t free, FreeBytes(folder));
  const auto full = [&] {
    return absl::ResourceExhaustedError(StrCat(what, " needs ", bytes, " bytes in ", folder.string(), ", ",
                                               free, " are free: make room, or give another folder"));
  };
  if (free < static_cast<uint64_t>(bytes)) return full();
  int error = 0;
  do {
    error = ::fallocate(fd, 0, 0, bytes) == 0 ? 0 : errno;
  } while (error == EINTR);
  // Where blocks cannot be taken beforehand, what was free is all that is known.
  if (error == EOPNOTSUPP) error = ::ftruncate(fd, bytes) == 0 ? 0 : errno;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) return full();
  return error == 0 ? absl::OkStatus() : ErrnoStatus("make a file in", folder, error);
}

// Whether the file goes past the page cache from now on. Some file systems take the flag and then refuse to write.
bool GoesPastThePageCache(int fd) {
  struct statfs info {};
  if (::fstatfs(fd, &info) != 0 || info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC) return false;
  const int flags = ::fcntl(fd, F_GETFL);
  if (::fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) return false;
  void* zeros = std::aligned_alloc(plan::kTileAlignment, plan::kTileAlignment);
  const bool reads = zeros != nullptr && ::pread(fd, zeros, plan::kTileAlignment, 0) >= 0;
  std::free(zeros);
  if (!reads) ::fcntl(fd, F_SETFL, flags);
  return reads;
}

}  // namespace

StatusOr<OpenedTileFile> OpenTileFile(const fs::path& folder, int64_t bytes, std::string_view what) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status))
    return absl::NotFoundError(StrCat("there is no folder ", folder.string(), ": make it, or give another"));
  if (!fs::is_directory(status))
    return absl::InvalidArgumentError(StrCat(folder.string(), " is no folder: give one"));
  ASSIGN_OR_RETURN(UniqueFd fd, OpenNameless(folder));
  RETURN_IF_ERROR(Take(fd.get(), folder, bytes, what));
  OpenedTileFile opened;
  if (!GoesPastThePageCache(fd.get())) {
    opened.remark = StrCat("the file system of ", folder.string(),
                           " cannot go past the page cache: what is on disk takes memory too");
  }
  opened.file = std::make_unique<NamelessFile>(std::move(fd), folder);
  return opened;
}

}  // namespace ft::offload
