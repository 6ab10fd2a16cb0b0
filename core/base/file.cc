#include "core/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/base/read_limits.h"

namespace ft {
namespace fs = std::filesystem;

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    Reset();
    fd_ = other.Release();
  }
  return *this;
}

void UniqueFd::Reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Status ErrnoStatus(std::string_view what, const fs::path& path, int error_number) {
  const std::string message = StrCat("cannot ", what, " ", path.string(), ": ", std::strerror(error_number));
  switch (error_number) {
    case ENOENT:
    case ENOTDIR: return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS: return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT: return absl::ResourceExhaustedError(message);
    default: return absl::InternalError(message);
  }
}

StatusOr<std::string> ReadFile(const fs::path& path, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(RandomAccessFile file, RandomAccessFile::Open(path));
  if (file.size() > max_bytes) {
    return absl::InvalidArgumentError(
        StrCat(path.string(), " has ", file.size(), " bytes, more than the ", max_bytes, " allowed here"));
  }
  std::string content(file.size(), '\0');
  RETURN_IF_ERROR(file.ReadAt(0, std::as_writable_bytes(std::span(content))));
  return content;
}

namespace {

Status WriteAll(int fd, std::string_view content, const fs::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus("write", path, errno);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

Status WriteAndSync(const fs::path& path, std::string_view content) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus("create", path, errno);
  RETURN_IF_ERROR(WriteAll(fd.get(), content, path));
  if (::fsync(fd.get()) != 0) return ErrnoStatus("sync", path, errno);
  if (::close(fd.Release()) != 0) return ErrnoStatus("close", path, errno);
  return absl::OkStatus();
}

}  // namespace

Status WriteFileDurably(const fs::path& path, std::string_view content) {
  static std::atomic<uint64_t> counter{0};
  const fs::path dir = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const fs::path beside =
      dir / StrCat(".", path.filename().string(), ".", ::getpid(), ".", counter.fetch_add(1), ".tmp");
  Status status = WriteAndSync(beside, content);
  if (status.ok() && ::rename(beside.c_str(), path.c_str()) != 0)
    status = ErrnoStatus("rename to", path, errno);
  if (!status.ok()) {
    ::unlink(beside.c_str());
    return status;
  }
  return SyncDirectory(dir);
}

Status SyncDirectory(const fs::path& dir) {
  UniqueFd fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus("open folder", dir, errno);
  if (::fsync(fd.get()) != 0) return ErrnoStatus("sync folder", dir, errno);
  return absl::OkStatus();
}

Status MakeDirectories(const fs::path& dir) {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) return ErrnoStatus("create folder", dir, error.value());
  return absl::OkStatus();
}

StatusOr<RandomAccessFile> RandomAccessFile::Open(const fs::path& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenForReading(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoStatus("stat", path, errno);
  if (!S_ISREG(info.st_mode))
    return absl::InvalidArgumentError(StrCat(path.string(), " is not a regular file"));
  return RandomAccessFile(std::move(fd), static_cast<uint64_t>(info.st_size), path);
}

Status RandomAccessFile::ReadAt(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return absl::OutOfRangeError(StrCat(path_.string(), ": bytes ", offset, " to ", offset + out.size(),
                                        " asked for, the file ends at ", size_));
  }
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read", path_, errno);
    if (got == 0) return absl::OutOfRangeError(StrCat(path_.string(), " became shorter while it was read"));
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

StatusOr<MappedFile> MappedFile::Open(const fs::path& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenForReading(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoStatus("stat", path, errno);
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return MappedFile(nullptr, 0);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus("map", path, errno);
  return MappedFile(static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace ft
