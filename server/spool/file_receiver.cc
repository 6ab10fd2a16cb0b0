#include "server/spool/file_receiver.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace ft::spool {

StatusOr<FileReceiver> FileReceiver::Open(const ExpectedFile& expected) {
  const bool digest_ok = expected.sha256.size() == 64 &&
                         expected.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!digest_ok) return absl::InvalidArgumentError("sha256 must be 64 lower-case hexadecimal digits");
  if (expected.size < 0 || expected.size > expected.max_size) {
    return absl::InvalidArgumentError(StrCat("file of ", expected.size, " bytes, at most ", expected.max_size,
                                             " are taken: put it where the coordinator can read it"));
  }
  FileReceiver receiver;
  receiver.expected_ = expected;
  receiver.part_ = expected.path.string() + ".part";
  RETURN_IF_ERROR(MakeDirectories(expected.path.parent_path()));
  std::error_code error;
  if (std::filesystem::is_regular_file(expected.path, error)) {
    receiver.received_ = expected.size;
    receiver.complete_ = true;
    return receiver;
  }
  receiver.fd_ = UniqueFd(::open(receiver.part_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!receiver.fd_.valid()) return ErrnoStatus("open", receiver.part_, errno);
  std::string block(1 << 20, '\0');
  while (true) {
    const ssize_t got = ::pread(receiver.fd_.get(), block.data(), block.size(), receiver.received_);
    if (got < 0) return ErrnoStatus("read", receiver.part_, errno);
    if (got == 0) break;
    receiver.digest_.Update(std::string_view(block).substr(0, static_cast<size_t>(got)));
    receiver.received_ += got;
  }
  if (receiver.received_ == expected.size) RETURN_IF_ERROR(receiver.Finish());
  return receiver;
}

Status FileReceiver::Append(int64_t offset, const std::string& data) {
  if (complete_) return absl::OkStatus();
  if (offset < 0 || offset > received_) {
    return absl::OutOfRangeError(StrCat("piece starts at ", offset, ", ", received_, " bytes are there"));
  }
  if (offset + static_cast<int64_t>(data.size()) > expected_.size) {
    return absl::InvalidArgumentError(StrCat("more than the announced ", expected_.size, " bytes were sent"));
  }
  // A sender that begins anew after a broken transfer repeats what is here already.
  const int64_t known = received_ - offset;
  if (known >= static_cast<int64_t>(data.size())) return absl::OkStatus();
  const std::string_view fresh = std::string_view(data).substr(static_cast<size_t>(known));
  const ssize_t written = ::write(fd_.get(), fresh.data(), fresh.size());
  if (written != static_cast<ssize_t>(fresh.size())) {
    const int cause = written < 0 ? errno : ENOSPC;
    if (::ftruncate(fd_.get(), received_) != 0) return ErrnoStatus("cut the torn end of", part_, errno);
    return ErrnoStatus("write", part_, cause);
  }
  digest_.Update(fresh);
  received_ += static_cast<int64_t>(fresh.size());
  return received_ == expected_.size ? Finish() : absl::OkStatus();
}

Status FileReceiver::Finish() {
  if (Hex(digest_.Finish()) != expected_.sha256) {
    ::unlink(part_.c_str());
    return absl::DataLossError(StrCat(expected_.path.filename().string(),
                                      ": the bytes sent do not have the announced sha256: send it again"));
  }
  if (::fsync(fd_.get()) != 0) {
    // The kernel may have dropped what it could not write, so a second try on the same file would prove
    // nothing.
    const Status failed = ErrnoStatus("fsync", part_, errno);
    ::unlink(part_.c_str());
    return failed;
  }
  if (::rename(part_.c_str(), expected_.path.c_str()) != 0) return ErrnoStatus("rename", part_, errno);
  RETURN_IF_ERROR(SyncDirectory(expected_.path.parent_path()));
  fd_.Reset();
  complete_ = true;
  return absl::OkStatus();
}

}  // namespace ft::spool
