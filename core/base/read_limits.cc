#include "core/base/read_limits.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace ft {
namespace fs = std::filesystem;
namespace {

struct Folder {
  fs::path path;  // Canonical.
  UniqueFd fd;
};

struct Limits {
  bool set = false;
  std::vector<Folder> folders;
};

Limits& TheLimits() {
  static Limits& limits = *new Limits;  // Never destroyed: threads may still read while the process exits.
  return limits;
}

int OpenBelow(int folder, const char* path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof(how)));
}

}  // namespace

bool IsBelow(const fs::path& path, const fs::path& folder) {
  const auto [folder_end, path_end] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  // A folder written with a slash at its end has an empty last part.
  return folder_end == folder.end() || (folder_end->empty() && std::next(folder_end) == folder.end());
}

Status OutsideTheFolders(std::string_view what) {
  return absl::PermissionDeniedError(
      StrCat(what,
             " lies outside the folders this worker may read; move it into one of them, or let the "
             "administrator add its folder to the allowed roots"));
}

Status LimitReading(const std::vector<fs::path>& folders) {
  Limits& limits = TheLimits();
  for (const fs::path& folder : folders) {
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (error) continue;
    UniqueFd fd(::open(real.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) continue;
    const UniqueFd probe(OpenBelow(fd.get(), ".", O_PATH));
    if (!probe.valid() && errno == ENOSYS) {
      return absl::UnimplementedError(
          "roots need a kernel with openat2 (Linux 5.6 or newer); update it, or run without roots");
    }
    limits.folders.push_back({real, std::move(fd)});
  }
  limits.set = true;
  return absl::OkStatus();
}

StatusOr<UniqueFd> OpenForReading(const fs::path& path) {
  const Limits& limits = TheLimits();
  if (!limits.set) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return ErrnoStatus("open", path, errno);
    return fd;
  }
  // What is not there is judged by where it would be, so that an answer never tells what exists outside.
  std::error_code error;
  const fs::path real = fs::weakly_canonical(path, error);
  if (error) return ErrnoStatus("open", path, error.value());
  for (const Folder& folder : limits.folders) {
    if (!IsBelow(real, folder.path)) continue;
    const fs::path below = real.lexically_relative(folder.path);
    // No link is followed any more: where one has been put since, nothing is opened.
    UniqueFd fd(OpenBelow(folder.fd.get(), below.c_str(), O_RDONLY));
    if (fd.valid()) return fd;
    if (errno == ELOOP || errno == EXDEV) return OutsideTheFolders(path.string());
    return ErrnoStatus("open", path, errno);
  }
  return OutsideTheFolders(path.string());
}

}  // namespace ft
