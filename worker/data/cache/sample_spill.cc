#include "worker/data/cache/sample_spill.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "core/base/check.h"
#include "worker/data/cache/token_cache.h"

namespace ft::data {
namespace {

namespace fs = std::filesystem;

// What is written at once when the file is there.
constexpr size_t kWriteBytes = size_t{4} << 20;

template <typename T>
void Append(std::span<const T> values, std::string* out) {
  out->append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

}  // namespace

void SampleSpill::Add(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask) {
  FT_CHECK(ids.size() == loss_mask.size() && ids.size() <= std::numeric_limits<uint32_t>::max())
      << ids.size() << " ids, " << loss_mask.size() << " loss marks";
  places_.push_back({.begin = in_file_ + buffer_.size(),  // Flushing moves nothing.
                     .length = static_cast<uint32_t>(ids.size()),
                     .supervised = static_cast<uint32_t>(SupervisedTokens({ids, loss_mask}))});
  // Before the buffer grows beyond its bound, since a text that grows is copied.
  const size_t room = in_memory() ? memory_bytes_ : std::min(memory_bytes_, kWriteBytes);
  if (status_.ok() && buffer_.size() + ids.size_bytes() + loss_mask.size_bytes() > room) status_ = Flush();
  if (!status_.ok()) return;
  Append(ids, &buffer_);
  Append(loss_mask, &buffer_);
}

Status SampleSpill::MakeFile() {
  std::error_code error;
  fs::path dir = dir_.empty() ? fs::temp_directory_path(error) : dir_;
  if (error) dir = "/tmp";
  RETURN_IF_ERROR(MakeDirectories(dir));
  file_ = UniqueFd(::open(dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file_.valid()) return absl::OkStatus();
  // File systems that know no files without a name.
  std::string name = (dir / ".samples.XXXXXX").string();
  file_ = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
  if (!file_.valid()) return ErrnoStatus("create a file in", dir, errno);
  ::unlink(name.c_str());
  return absl::OkStatus();
}

Status SampleSpill::Flush() {
  if (!file_.valid()) RETURN_IF_ERROR(MakeFile());
  for (std::string_view left = buffer_; !left.empty();) {
    const ssize_t written = ::pwrite(file_.get(), left.data(), left.size(), static_cast<off_t>(in_file_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus("keep samples in", dir_.empty() ? fs::path("/tmp") : dir_, errno);
    left.remove_prefix(static_cast<size_t>(written));
    in_file_ += static_cast<uint64_t>(written);
  }
  buffer_.clear();
  buffer_.shrink_to_fit();
  return absl::OkStatus();
}

Status SampleSpill::ReadBytes(uint64_t begin, std::span<std::byte> out) const {
  while (!out.empty() && begin < in_file_) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), in_file_ - begin));
    const ssize_t got = ::pread(file_.get(), out.data(), wanted, static_cast<off_t>(begin));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read samples kept in", dir_, errno);
    if (got == 0) return absl::InternalError("the file of kept samples became shorter");
    out = out.subspan(static_cast<size_t>(got));
    begin += static_cast<uint64_t>(got);
  }
  if (!out.empty()) std::memcpy(out.data(), buffer_.data() + (begin - in_file_), out.size());
  return absl::OkStatus();
}

Status SampleSpill::ReadIds(int64_t index, std::vector<int32_t>* ids) const {
  RETURN_IF_ERROR(status_);
  const Place& place = places_[static_cast<size_t>(index)];
  ids->resize(place.length);
  return ReadBytes(place.begin, std::as_writable_bytes(std::span(*ids)));
}

Status SampleSpill::ReadLossMask(int64_t index, std::vector<uint8_t>* loss_mask) const {
  RETURN_IF_ERROR(status_);
  const Place& place = places_[static_cast<size_t>(index)];
  loss_mask->resize(place.length);
  return ReadBytes(place.begin + uint64_t{place.length} * sizeof(int32_t),
                   std::as_writable_bytes(std::span(*loss_mask)));
}

}  // namespace ft::data
