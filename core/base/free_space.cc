#include "core/base/free_space.h"

#include <sys/statvfs.h>

#include <cerrno>

#include "core/base/file.h"

namespace ft {

StatusOr<uint64_t> FreeBytes(const std::filesystem::path& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) return ErrnoStatus("ask free space of", folder, errno);
  return uint64_t{info.f_bavail} * info.f_frsize;
}

}  // namespace ft
