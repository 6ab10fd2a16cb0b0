// The prepared data of a job: token ids and which of them carry loss, one sample after another, in one file that all
// ranks map. Written once by `ft-rank prepare`; its name and digest follow from its content.
//
// File, little-endian: magic "FTTOKEN1"; u64 samples, tokens, supervised tokens, holdout samples; u64 offsets[samples+1]
// (in tokens); i32 ids[tokens]; u8 loss[tokens] (1 = this token is predicted and counted); SHA-256 of all before it.
// docs/formats/token-cache.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "worker/data/cache/sample_spill.h"

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

// Collects samples and writes the file durably. One thread. Memory holds 32 bytes a sample; the samples themselves lie in a SampleSpill.
class TokenCacheWriter {
 public:
  // Samples of the writer's own.
  void AddTrain(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask);
  void AddHoldout(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask);
  // Samples of a spill, which outlives the writer and may be named more than once.
  void AddTrain(const SampleSpill& from, int64_t index) { train_.push_back({&from, index}); }
  void AddHoldout(const SampleSpill& from, int64_t index) { holdout_.push_back({&from, index}); }
  int64_t samples() const { return static_cast<int64_t>(train_.size() + holdout_.size()); }
  // In tokens, of the training samples in the order added.
  std::vector<int64_t> TrainLengths() const;
  // Writes `dir`/<digest>.ftt and returns its digest (hexadecimal); an equal file that is there is kept.
  StatusOr<std::string> Write(const std::filesystem::path& dir) const;

 private:
  struct Named {
    const SampleSpill* from;
    int64_t index;
    int64_t length() const { return from->length(index); }
  };
  class Output;
  // Header, offsets, ids and loss marks, as the format has them.
  Status WriteContent(Output& out) const;

  std::unique_ptr<SampleSpill> own_;  // Where named samples know it, however the writer moves.
  std::vector<Named> train_, holdout_;
};

}  // namespace ft::data
