#include "core/hub/partial.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "nlohmann/json.hpp"

namespace ft::hub {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kLargestState = 4 << 20;

fs::path ContentOf(const fs::path& base) { return base.string() + "partial"; }
fs::path StateOf(const fs::path& base) { return base.string() + "ranges"; }

// What a state file says; nothing when it is of other content, or broken.
std::optional<std::vector<int64_t>> ParseState(std::string_view text, std::string_view digest, int64_t size,
                                               int64_t range_bytes, size_t ranges) {
  const Json state = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!state.is_object() || state.value("digest", Json()) != digest || state.value("size", Json()) != size ||
      state.value("range_bytes", Json()) != range_bytes) {
    return std::nullopt;
  }
  const auto done = state.find("done");
  if (done == state.end() || !done->is_array() || done->size() != ranges) return std::nullopt;
  std::vector<int64_t> bytes;
  for (size_t i = 0; i < ranges; ++i) {
    const Json& item = (*done)[i];
    const int64_t most = std::min(range_bytes, size - static_cast<int64_t>(i) * range_bytes);
    if (!item.is_number_unsigned() || item.get<uint64_t>() > static_cast<uint64_t>(most)) return std::nullopt;
    bytes.push_back(item.get<int64_t>());
  }
  return bytes;
}

// The state, and what a process left that was killed while it wrote one.
void RemoveState(const fs::path& state) {
  std::error_code error;
  fs::remove(state, error);
  const std::string half_written = StrCat(".", state.filename().string());
  for (fs::directory_iterator it(state.parent_path(), error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (it->path().filename().string().starts_with(half_written)) fs::remove(it->path(), gone);
  }
}

// Reserves the whole length, so that a disk without room is told of before hours of downloading.
Status Reserve(int fd, int64_t size, const fs::path& path) {
  if (size == 0) return absl::OkStatus();
  if (::fallocate(fd, 0, 0, size) == 0) return absl::OkStatus();
  if (errno != EOPNOTSUPP && errno != ENOSYS) return ErrnoStatus("make room for", path, errno);
  return ::ftruncate(fd, size) == 0 ? absl::OkStatus() : ErrnoStatus("make room for", path, errno);
}

}  // namespace

StatusOr<std::unique_ptr<PartialFile>> PartialFile::Open(const fs::path& base, const HubFile& file,
                                                         int64_t range_bytes) {
  RETURN_IF_ERROR(MakeDirectories(base.parent_path()));
  std::unique_ptr<PartialFile> partial(new PartialFile());
  partial->content_ = ContentOf(base);
  partial->state_ = StateOf(base);
  partial->digest_ = file.digest();
  partial->size_ = file.size;
  partial->range_bytes_ = range_bytes;
  const auto ranges = static_cast<size_t>(std::max<int64_t>(1, (file.size + range_bytes - 1) / range_bytes));
  partial->done_.assign(ranges, 0);
  partial->claimed_.assign(ranges, false);
  const Status loaded = partial->Load(file);
  if (absl::IsResourceExhausted(loaded)) partial->Discard();  // It would fill the disk that is full.
  RETURN_IF_ERROR(loaded);
  return partial;
}

Status PartialFile::Load(const HubFile& file) {
  fd_ = UniqueFd(::open(content_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd_.valid()) return ErrnoStatus("open", content_, errno);
  std::error_code error;
  const auto length = static_cast<int64_t>(fs::file_size(content_, error));
  const StatusOr<std::string> text = ReadFile(state_, kLargestState);
  if (!error && length == size_ && text.ok()) {
    if (auto done = ParseState(*text, digest_, size_, range_bytes_, done_.size())) {
      done_ = *std::move(done);
      return absl::OkStatus();
    }
  }
  RemoveState(state_);
  if (::ftruncate(fd_.get(), 0) != 0) return ErrnoStatus("empty", content_, errno);
  return Reserve(fd_.get(), size_, content_);
}

int64_t PartialFile::EndOf(size_t index) const {
  return std::min(size_, (static_cast<int64_t>(index) + 1) * range_bytes_);
}

std::optional<PartialFile::Piece> PartialFile::Claim() {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < done_.size(); ++i) {
    const int64_t begin = static_cast<int64_t>(i) * range_bytes_ + done_[i];
    if (claimed_[i] || begin == EndOf(i)) continue;
    claimed_[i] = true;
    return Piece{.index = i, .begin = begin, .end = EndOf(i)};
  }
  return std::nullopt;
}

Status PartialFile::Append(Piece& piece, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_.get(), bytes.data(), bytes.size(), piece.begin);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus("write", content_, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
    piece.begin += written;
    const std::lock_guard lock(mutex_);
    done_[piece.index] += written;
  }
  return absl::OkStatus();
}

void PartialFile::Clear(Piece& piece) {
  const std::lock_guard lock(mutex_);
  done_[piece.index] = 0;
  piece.begin = static_cast<int64_t>(piece.index) * range_bytes_;
}

void PartialFile::Release(const Piece& piece) {
  const std::lock_guard lock(mutex_);
  claimed_[piece.index] = false;
}

int64_t PartialFile::done() const {
  const std::lock_guard lock(mutex_);
  return std::accumulate(done_.begin(), done_.end(), int64_t{0});
}

Status PartialFile::Save() {
  const std::lock_guard saving(saving_);
  Json state;
  {
    // What is noted is read before the sync: what is written meanwhile is noted the next time.
    const std::lock_guard lock(mutex_);
    state = {{"digest", digest_}, {"size", size_}, {"range_bytes", range_bytes_}, {"done", done_}};
  }
  if (::fdatasync(fd_.get()) != 0) return ErrnoStatus("sync", content_, errno);
  return WriteFileDurably(state_, state.dump());
}

Status PartialFile::Finish(const fs::path& destination) {
  if (::fsync(fd_.get()) != 0) return ErrnoStatus("sync", content_, errno);
  RETURN_IF_ERROR(MakeDirectories(destination.parent_path()));
  if (::rename(content_.c_str(), destination.c_str()) != 0) return ErrnoStatus("rename", content_, errno);
  RETURN_IF_ERROR(SyncDirectory(destination.parent_path()));
  RemoveState(state_);
  return absl::OkStatus();
}

void PartialFile::Discard() {
  RemoveState(state_);
  std::error_code ignored;
  fs::remove(content_, ignored);
}

int64_t PartialFile::NotedBytes(const fs::path& base) {
  const StatusOr<std::string> text = ReadFile(StateOf(base), kLargestState);
  if (!text.ok()) return 0;
  const Json state = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!state.is_object() || !state.contains("done") || !state["done"].is_array()) return 0;
  int64_t bytes = 0;
  for (const Json& done : state["done"]) bytes += done.is_number_unsigned() ? done.get<int64_t>() : 0;
  return bytes;
}

}  // namespace ft::hub
