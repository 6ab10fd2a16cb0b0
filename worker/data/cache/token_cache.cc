#include "worker/data/cache/token_cache.h"

#include <cstring>
#include <limits>

#include "core/base/check.h"

namespace ft::data {
namespace {

constexpr std::string_view kMagic = "FTTOKEN1";
constexpr size_t kHeaderBytes = 8 + 4 * 8;
constexpr size_t kDigestBytes = 32;

template <typename T>
std::string_view BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

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

void TokenCacheWriter::Part::Add(std::span<const int32_t> new_ids, std::span<const uint8_t> new_loss_mask) {
  FT_CHECK(new_ids.size() == new_loss_mask.size())
      << new_ids.size() << " ids, " << new_loss_mask.size() << " loss marks";
  ids.insert(ids.end(), new_ids.begin(), new_ids.end());
  loss_mask.insert(loss_mask.end(), new_loss_mask.begin(), new_loss_mask.end());
  offsets.push_back(ids.size());
}

void TokenCacheWriter::AddTrain(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask) {
  train_.Add(ids, loss_mask);
}

void TokenCacheWriter::AddHoldout(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask) {
  holdout_.Add(ids, loss_mask);
}

std::vector<int64_t> TokenCacheWriter::TrainLengths() const {
  std::vector<int64_t> lengths;
  for (size_t i = 1; i < train_.offsets.size(); ++i) {
    lengths.push_back(static_cast<int64_t>(train_.offsets[i] - train_.offsets[i - 1]));
  }
  return lengths;
}

StatusOr<std::string> TokenCacheWriter::Write(const std::filesystem::path& dir) const {
  RETURN_IF_ERROR(MakeDirectories(dir));
  std::vector<uint64_t> offsets = train_.offsets;
  for (size_t i = 1; i < holdout_.offsets.size(); ++i)
    offsets.push_back(train_.ids.size() + holdout_.offsets[i]);
  int64_t supervised = 0;
  for (const Part* part : {&train_, &holdout_}) {
    for (size_t i = 0; i + 1 < part->offsets.size(); ++i) {
      const size_t size = part->offsets[i + 1] - part->offsets[i];
      supervised += SupervisedTokens(
          {{part->ids.data() + part->offsets[i], size}, {part->loss_mask.data() + part->offsets[i], size}});
    }
  }
  const uint64_t header[4] = {offsets.size() - 1, train_.ids.size() + holdout_.ids.size(),
                              static_cast<uint64_t>(supervised), holdout_.offsets.size() - 1};
  std::string content(kMagic);
  content.append(reinterpret_cast<const char*>(header), sizeof(header));
  StrAppend(&content, BytesOf(offsets), BytesOf(train_.ids), BytesOf(holdout_.ids), BytesOf(train_.loss_mask),
            BytesOf(holdout_.loss_mask));
  const Digest digest = Sha256Of(content);
  content.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  const std::filesystem::path path = dir / (Hex(digest) + ".ftt");
  if (TokenCache::Open(path, /*verify=*/true).ok()) return Hex(digest);
  RETURN_IF_ERROR(WriteFileDurably(path, content));
  return Hex(digest);
}

}  // namespace ft::data
