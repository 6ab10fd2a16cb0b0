#include "server/spool/file_receiver.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "absl/strings/escaping.h"
#include "nlohmann/json.hpp"

namespace ft::spool {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSaveBytes = int64_t{64} << 20;

struct SavedState {
  std::string sha256;  // Digest of the whole file: the state of another file is of no use.
  int64_t size = 0;
  int64_t received = 0;
  std::string digest;
};

fs::path PartOf(const fs::path& path) { return path.string() + ".part"; }
fs::path StateOf(const fs::path& path) { return path.string() + ".part.state"; }

std::optional<SavedState> ReadState(const fs::path& path) {
  const auto text = ReadFile(path, 4096);
  if (!text.ok()) return std::nullopt;
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const bool whole = json.is_object() && json.contains("sha256") && json["sha256"].is_string() &&
                     json.contains("size") && json["size"].is_number_integer() && json.contains("received") &&
                     json["received"].is_number_integer() && json.contains("digest") &&
                     json["digest"].is_string();
  if (!whole) return std::nullopt;
  SavedState state{json["sha256"], json["size"], json["received"], ""};
  state.digest = absl::HexStringToBytes(json["digest"].get<std::string>());
  if (state.received < 0 || state.received > state.size) return std::nullopt;
  return state;
}

int64_t SizeOf(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(size);
}

}  // namespace

int64_t FileReceiver::SavedBytes(const fs::path& path) {
  const auto state = ReadState(StateOf(path));
  return state && SizeOf(PartOf(path)) >= state->received ? state->received : 0;
}

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
  receiver.part_ = PartOf(expected.path);
  receiver.state_ = StateOf(expected.path);
  RETURN_IF_ERROR(MakeDirectories(expected.path.parent_path()));
  std::error_code error;
  if (fs::is_regular_file(expected.path, error)) {
    receiver.received_ = expected.size;
    receiver.complete_ = true;
    return receiver;
  }
  receiver.fd_ = UniqueFd(::open(receiver.part_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!receiver.fd_.valid()) return ErrnoStatus("open", receiver.part_, errno);
  if (::flock(receiver.fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::UnavailableError(
        StrCat(expected.path.filename().string(), " is being received already: try again in a moment"));
  }
  RETURN_IF_ERROR(receiver.Restore());
  if (receiver.received_ == expected.size) RETURN_IF_ERROR(receiver.Finish());
  return receiver;
}

// What was written behind the saved state may not be on the disk, and is not in the digest: it is sent again.
Status FileReceiver::Restore() {
  const auto state = ReadState(state_);
  if (state && state->sha256 == expected_.sha256 && state->size == expected_.size &&
      SizeOf(part_) >= state->received) {
    StatusOr<Sha256> digest = Sha256::Restore(state->digest);
    if (digest.ok()) {
      digest_ = *std::move(digest);
      received_ = saved_ = state->received;
    }
  }
  if (::ftruncate(fd_.get(), received_) != 0) return ErrnoStatus("cut", part_, errno);
  return absl::OkStatus();
}

Status FileReceiver::Save() {
  if (complete_ || received_ == saved_) return absl::OkStatus();
  if (::fdatasync(fd_.get()) != 0) return ErrnoStatus("fdatasync", part_, errno);
  const nlohmann::json state = {{"sha256", expected_.sha256},
                                {"size", expected_.size},
                                {"received", received_},
                                {"digest", absl::BytesToHexString(digest_.Save())}};
  RETURN_IF_ERROR(WriteFileDurably(state_, state.dump()));
  saved_ = received_;
  return absl::OkStatus();
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
  if (received_ == expected_.size) return Finish();
  return received_ - saved_ >= kSaveBytes ? Save() : absl::OkStatus();
}

Status FileReceiver::Finish() {
  ::unlink(state_.c_str());
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
