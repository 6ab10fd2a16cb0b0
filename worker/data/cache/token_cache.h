// The prepared data of a job: token ids and which of them carry loss, one sample after another, in one file that all
// ranks map. Written once by `ft-rank prepare`; its name and digest follow from its content.
//
// File, little-endian: magic "FTTOKEN1"; u64 samples, tokens, supervised tokens, holdout samples; u64 offsets[samples+1]
// (in tokens); i32 ids[tokens]; u8 loss[tokens] (1 = this token is predicted and counted); SHA-256 of all before it.
// docs/formats/token-cache.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/base/sha256.h"

namespace ft::data {

// One training sequence. The views live as long as the cache.
struct TokenSample {
  std::span<const int32_t> ids;
  // Same length; 1 = this token is predicted and counted. loss_mask[0] never counts, since nothing predicts the first token.
  std::span<const uint8_t> loss_mask;
};

// Counts of the positions t >= 1 with loss_mask[t] == 1: what a mean loss divides by.
int64_t SupervisedTokens(const TokenSample& sample);

// Read-only, thread-safe.
class TokenCache {
 public:
  // Checks magic, sizes and offsets against the file's length; `verify` also the digest. DATA_LOSS names the file.
  static StatusOr<TokenCache> Open(const std::filesystem::path& path, bool verify);
  // Training samples come first: [0, train_samples()), then the held-out ones, up to samples().
  int64_t samples() const { return samples_; }
  int64_t train_samples() const { return samples_ - holdout_; }
  int64_t holdout_samples() const { return holdout_; }
  int64_t tokens() const { return tokens_; }
  int64_t supervised_tokens() const { return supervised_; }
  TokenSample at(int64_t index) const;
  // SHA-256 of the content, hexadecimal.
  const std::string& digest() const { return digest_; }

 private:
  explicit TokenCache(MappedFile file) : file_(std::move(file)) {}
  MappedFile file_;
  int64_t samples_ = 0, tokens_ = 0, supervised_ = 0, holdout_ = 0;
  const uint64_t* offsets_ = nullptr;
  const int32_t* ids_ = nullptr;
  const uint8_t* loss_mask_ = nullptr;
  std::string digest_;
};

// Collects samples and writes the file durably. One thread. Holds all samples in memory (5 bytes a token).
class TokenCacheWriter {
 public:
  void AddTrain(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask);
  void AddHoldout(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask);
  int64_t samples() const {
    return static_cast<int64_t>(train_.offsets.size() + holdout_.offsets.size()) - 2;
  }
  // In tokens, of the training samples in the order added.
  std::vector<int64_t> TrainLengths() const;
  // Writes `dir`/<digest>.ftt and returns its digest (hexadecimal); an equal file that is there is kept.
  StatusOr<std::string> Write(const std::filesystem::path& dir) const;

 private:
  struct Part {
    std::vector<uint64_t> offsets = {0};
    std::vector<int32_t> ids;
    std::vector<uint8_t> loss_mask;
    void Add(std::span<const int32_t> new_ids, std::span<const uint8_t> new_loss_mask);
  };
  Part train_, holdout_;
};

}  // namespace ft::data
