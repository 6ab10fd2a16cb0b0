#include "worker/data/cache/token_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/base/check.h"

namespace ft::data {
namespace {

constexpr std::string_view kMagic = "FTTOKEN1";
constexpr size_t kHeaderBytes = 8 + 4 * 8;
constexpr size_t kDigestBytes = 32;

}  // namespace

int64_t SupervisedTokens(const TokenSample& sample) {
  int64_t count = 0;
  for (size_t t = 1; t < sample.loss_mask.size(); ++t) count += sample.loss_mask[t] != 0;
  return count;
}

StatusOr<TokenCache> TokenCache::Open(const std::filesystem::path& path, bool verify) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  const auto broken = [&](std::string_view why) {
    return absl::DataLossError(
        StrCat(path.string(), ": not a token cache: ", why, "; prepare the job again"));
  };
  const std::span<const std::byte> bytes = file.bytes();
  const char* base = reinterpret_cast<const char*>(bytes.data());
  if (bytes.size() < kHeaderBytes + sizeof(uint64_t) + kDigestBytes) return broken("too short");
  if (std::string_view(base, kMagic.size()) != kMagic) return broken("wrong magic");
  uint64_t header[4];
  std::memcpy(header, base + kMagic.size(), sizeof(header));
  constexpr uint64_t kMax = uint64_t{1} << 48;
  if (header[0] >= kMax || header[1] >= kMax || header[3] > header[0]) return broken("impossible counts");
  if (bytes.size() != kHeaderBytes + (header[0] + 1) * 8 + header[1] * 5 + kDigestBytes)
    return broken("wrong length");
  const std::string_view content(base, bytes.size() - kDigestBytes);
  const std::string_view digest(base + content.size(), kDigestBytes);
  if (verify) {
    const Digest actual = Sha256Of(content);
    if (std::memcmp(actual.data(), digest.data(), kDigestBytes) != 0) return broken("wrong checksum");
  }
  TokenCache cache(std::move(file));
  cache.samples_ = static_cast<int64_t>(header[0]);
  cache.tokens_ = static_cast<int64_t>(header[1]);
  cache.supervised_ = static_cast<int64_t>(header[2]);
  cache.holdout_ = static_cast<int64_t>(header[3]);
  cache.offsets_ = reinterpret_cast<const uint64_t*>(base + kHeaderBytes);
  cache.ids_ = reinterpret_cast<const int32_t*>(cache.offsets_ + header[0] + 1);
  cache.loss_mask_ = reinterpret_cast<const uint8_t*>(cache.ids_ + header[1]);
  for (uint64_t i = 0; i < header[0]; ++i) {
    if (cache.offsets_[i] > cache.offsets_[i + 1]) return broken("offsets go backwards");
  }
  if (cache.offsets_[0] != 0 || cache.offsets_[header[0]] != header[1])
    return broken("offsets do not cover the tokens");
  Digest stored;
  std::memcpy(stored.data(), digest.data(), kDigestBytes);
  cache.digest_ = Hex(stored);
  return cache;
}

TokenSample TokenCache::at(int64_t index) const {
  FT_CHECK(index >= 0 && index < samples_) << index << " of " << samples_;
  const size_t begin = offsets_[index];
  const size_t size = offsets_[index + 1] - begin;
  return {{ids_ + begin, size}, {loss_mask_ + begin, size}};
}

void TokenCacheWriter::AddTrain(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask) {
  if (own_ == nullptr) own_ = std::make_unique<SampleSpill>();
  AddTrain(*own_, own_->samples());
  own_->Add(ids, loss_mask);
}

void TokenCacheWriter::AddHoldout(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask) {
  if (own_ == nullptr) own_ = std::make_unique<SampleSpill>();
  AddHoldout(*own_, own_->samples());
  own_->Add(ids, loss_mask);
}

std::vector<int64_t> TokenCacheWriter::TrainLengths() const {
  std::vector<int64_t> lengths;
  lengths.reserve(train_.size());
  for (const Named& sample : train_) lengths.push_back(sample.length());
  return lengths;
}

// A file that is written piece by piece, digested on the way, and gets its name at the end; without one it is removed.
class TokenCacheWriter::Output {
 public:
  explicit Output(std::filesystem::path dir) : dir_(std::move(dir)) {}
  ~Output() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Status Open() {
    std::string name = (dir_ / ".cache.XXXXXX").string();
    fd_ = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd_.valid()) return ErrnoStatus("create a file in", dir_, errno);
    path_ = name;
    return absl::OkStatus();
  }
  template <typename T>
  Status Append(std::span<const T> values) {
    digest_.Update(std::as_bytes(values));
    return Put({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }
  // Ends the content with its digest.
  StatusOr<Digest> Finish() {
    const Digest digest = digest_.Finish();
    RETURN_IF_ERROR(Put({reinterpret_cast<const char*>(digest.data()), digest.size()}));
    RETURN_IF_ERROR(Flush());
    return digest;
  }
  Status Name(const std::filesystem::path& path) {
    if (::fchmod(fd_.get(), 0644) != 0 || ::fsync(fd_.get()) != 0) return ErrnoStatus("sync", path_, errno);
    if (::close(fd_.Release()) != 0) return ErrnoStatus("close", path_, errno);
    if (::rename(path_.c_str(), path.c_str()) != 0) return ErrnoStatus("rename to", path, errno);
    path_.clear();
    return SyncDirectory(dir_);
  }

 private:
  static constexpr size_t kBufferBytes = size_t{1} << 20;
  Status Put(std::string_view bytes) {
    buffer_.append(bytes);
    return buffer_.size() < kBufferBytes ? absl::OkStatus() : Flush();
  }
  Status Flush() {
    for (std::string_view left = buffer_; !left.empty();) {
      const ssize_t written = ::write(fd_.get(), left.data(), left.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus("write", path_, errno);
      left.remove_prefix(static_cast<size_t>(written));
    }
    buffer_.clear();
    return absl::OkStatus();
  }

  std::filesystem::path dir_, path_;
  UniqueFd fd_;
  Sha256 digest_;
  std::string buffer_;
};

Status TokenCacheWriter::WriteContent(Output& out) const {
  uint64_t header[4] = {static_cast<uint64_t>(samples()), 0, 0, static_cast<uint64_t>(holdout_.size())};
  std::vector<uint64_t> offsets = {0};
  offsets.reserve(static_cast<size_t>(samples()) + 1);
  for (const auto* part : {&train_, &holdout_}) {
    for (const Named& sample : *part) {
      offsets.push_back(offsets.back() + static_cast<uint64_t>(sample.length()));
      header[2] += static_cast<uint64_t>(sample.from->supervised(sample.index));
    }
  }
  header[1] = offsets.back();
  RETURN_IF_ERROR(out.Append(std::span(kMagic)));
  RETURN_IF_ERROR(out.Append(std::span<const uint64_t>(header)));
  RETURN_IF_ERROR(out.Append(std::span<const uint64_t>(offsets)));
  std::vector<int32_t> ids;
  std::vector<uint8_t> loss_mask;
  for (const auto* part : {&train_, &holdout_}) {
    for (const Named& sample : *part) {
      RETURN_IF_ERROR(sample.from->ReadIds(sample.index, &ids));
      RETURN_IF_ERROR(out.Append(std::span<const int32_t>(ids)));
    }
  }
  for (const auto* part : {&train_, &holdout_}) {
    for (const Named& sample : *part) {
      RETURN_IF_ERROR(sample.from->ReadLossMask(sample.index, &loss_mask));
      RETURN_IF_ERROR(out.Append(std::span<const uint8_t>(loss_mask)));
    }
  }
  return absl::OkStatus();
}

StatusOr<std::string> TokenCacheWriter::Write(const std::filesystem::path& dir) const {
  RETURN_IF_ERROR(MakeDirectories(dir));
  Output out(dir);
  RETURN_IF_ERROR(out.Open());
  RETURN_IF_ERROR(WriteContent(out));
  ASSIGN_OR_RETURN(const Digest digest, out.Finish());
  const std::filesystem::path path = dir / (Hex(digest) + ".ftt");
  if (TokenCache::Open(path, /*verify=*/true).ok()) return Hex(digest);
  RETURN_IF_ERROR(out.Name(path));
  return Hex(digest);
}

}  // namespace ft::data
