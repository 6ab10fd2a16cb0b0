// Gathers tokenised samples: cuts them to the job's length, applies the gate, counts, sets the held-out share
// aside and hands all of it to the cache. One thread. Holds every sample in memory (5 bytes a token).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/recipe/job_spec.h"
#include "worker/data/cache/token_cache.h"
#include "worker/data/readers/record.h"

namespace ft::prepare {

struct Sample {
  std::vector<int32_t> ids;
  std::vector<uint8_t> loss_mask;  // As long as ids; 1 = this token is predicted and counted.
};

// What the source of a sample found in it, before cutting.
struct SampleFacts {
  bool empty_input = false;        // A question of white space only.
  bool empty_tool_result = false;  // What a tool gave is white space only.
  bool empty_output = false;       // An answer, or a text to learn whole, of white space only.
  bool unsupervised_stop = false;  // The token that ends an answer carries no loss.
  bool doubled_bos = false;        // Two beginning-of-sequence tokens side by side.
};

// A sample as it will be trained, kept aside to be shown.
struct Shown {
  std::string place;  // Where its record stands.
  Sample sample;
};

class Collector {
 public:
  Collector(const recipe::GateSpec& gate, int64_t max_length) : gate_(gate), max_length_(max_length) {}

  // Every record of every source once, before its samples; its number decides whether it is held out.
  void BeginRecord(const data::Origin& origin);
  // Whether these facts alone refuse a sample, so that it need not be made.
  bool RefusesUnseen(const SampleFacts& facts) const;
  // A sample of the record begun last. REQUIRES: ids and loss_mask are equally long.
  void Add(Sample sample, const SampleFacts& facts);
  // A record that gives no sample by its format's rules (an empty conversation).
  void DropRecord() { ++dropped_records_; }

  // OK, or every kind of violation with its number, the first ten places and what to do.
  Status Verdict() const;
  // Splits off about `share` of the records (at least one, never all) by a hash of (seed, record number), and
  // gives all samples to `writer` in order. Returns how many samples are held out. Call once, last; the
  // samples are gone then.
  int64_t Drain(double share, uint64_t seed, data::TokenCacheWriter* writer);

  // The first three samples that were kept.
  const std::vector<Shown>& shown() const { return shown_; }
  int64_t records() const { return records_; }
  int64_t dropped_records() const { return dropped_records_; }
  int64_t dropped_samples() const { return dropped_; }
  int64_t truncated() const { return truncated_; }
  // Kept samples with more tokens.
  int64_t CountLonger(int64_t tokens) const;
  int64_t longest() const { return longest_; }
  int64_t samples() const { return static_cast<int64_t>(kept_.size()); }
  int64_t tokens() const { return tokens_; }
  int64_t supervised() const { return supervised_; }

 private:
  enum Kind {
    kEmptyInput,
    kEmptyToolResult,
    kEmptyOutput,
    kUnsupervised,
    kCutUnsupervised,
    kUnsupervisedStop,
    kDoubledBos,
    kKinds
  };
  struct Kept {
    Sample sample;
    int64_t record = 0;
  };
  void Refuse(Kind kind);
  Status TruncationVerdict() const;

  recipe::GateSpec gate_;
  int64_t max_length_;
  data::Origin origin_;  // Where the record begun last stands.
  int64_t records_ = 0, dropped_records_ = 0, dropped_ = 0, added_ = 0;
  int64_t truncated_ = 0, longest_ = 0, longest_uncut_ = 0, tokens_ = 0, supervised_ = 0;
  std::array<int64_t, kKinds> refused_ = {};
  std::vector<std::string> places_;  // The first ten violations.
  std::vector<Kept> kept_;
  std::vector<Shown> shown_;
};

}  // namespace ft::prepare
