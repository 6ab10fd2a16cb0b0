// Gathers tokenised samples: cuts them to the job's length, applies the gate, counts, sets the held-out share
// aside and hands all of it to the cache. One thread. Memory holds 32 bytes a sample; what is more than a few megabytes of tokens
// lies on disk (data::SampleSpill).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/recipe/job_spec.h"
#include "worker/data/cache/sample_spill.h"
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
  // `dir`: where samples lie that are too many for memory; empty = the system's folder for temporary files.
  Collector(const recipe::GateSpec& gate, int64_t max_length, std::filesystem::path dir = {})
      : gate_(gate), max_length_(max_length), spill_(std::move(dir)) {}

  // From now on what XTuner 0.1.9 trains on is kept: empty questions, samples without a supervised token, ends without loss. Where
  // `packs`, Drain makes its rows (xtuner_rows.h) of the samples of each source, in an order by the seed where `shuffles`.
  struct XtunerHabits {
    bool packs = false, shuffles = true;
  };
  void UseXtunerHabits(const XtunerHabits& habits) { xtuner_ = habits; }
  struct SourceHabits {
    bool packs = true;  // With XTuner's rows: its samples may share rows.
    double weight =
        1;  // How often an epoch holds each record of its own; a share of a time is a share of the records.
  };
  // Before the records of every source.
  void BeginSource(const SourceHabits& habits) { sources_.push_back({habits, records_}); }

  // Every record of every source once, before its samples; its number decides whether it is held out.
  void BeginRecord(const data::Origin& origin);
  // Whether these facts alone refuse a sample, so that it need not be made.
  bool RefusesUnseen(const SampleFacts& facts) const;
  // A sample of the record begun last. REQUIRES: ids and loss_mask are equally long.
  void Add(Sample sample, const SampleFacts& facts);
  // A record that gives no sample by its format's rules (an empty conversation).
  void DropRecord() { ++dropped_records_; }

  // RESOURCE_EXHAUSTED when the disk takes no more samples; nothing needs to be added then.
  const Status& status() const { return spill_.status(); }
  // OK, or every kind of violation with its number, the first ten places and what to do; or status().
  Status Verdict() const;
  // Splits off about `share` of the records (at least one, never all) by a hash of (seed, record number), and
  // gives all samples to `writer` in order, those of a weighted source as often as its weight says: pass after pass, the last over
  // a share of its records that follows from the seed. Returns how many samples are held out. Call once, last; the collector
  // outlives the writer's use. Counts below are of what was given then, with XTuner's rows of rows.
  StatusOr<int64_t> Drain(double share, uint64_t seed, data::TokenCacheWriter* writer);

  // The first three samples that were kept.
  const std::vector<Shown>& shown() const { return shown_; }
  int64_t records() const { return records_; }
  int64_t dropped_records() const { return dropped_records_; }
  int64_t dropped_samples() const { return dropped_; }
  // With XTuner's rows: tokens at the ends of sources that filled no row.
  int64_t left_tokens() const { return left_tokens_; }
  int64_t truncated() const { return truncated_; }
  // Kept samples with more tokens.
  int64_t CountLonger(int64_t tokens) const;
  int64_t longest() const { return longest_; }
  int64_t samples() const { return samples_; }
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
  struct Kept {  // By index of spill_.
    int64_t record = 0;
    size_t source = 0;
  };
  struct Source {
    SourceHabits habits;
    int64_t first_record = 0;
  };
  void Refuse(Kind kind);
  // Whether the facts refuse a sample; lists it then.
  bool RefusesFor(const SampleFacts& facts);
  // How often an epoch holds the sample.
  int64_t TimesOf(const Kept& kept, uint64_t seed) const;
  // Writes these of kept_, all of one source, as rows.
  Status DrainRows(const std::vector<size_t>& chosen, uint64_t seed, data::TokenCacheWriter* writer);
  void Count(int64_t tokens, int64_t supervised);
  Status TruncationVerdict() const;

  recipe::GateSpec gate_;
  int64_t max_length_;
  std::optional<XtunerHabits> xtuner_;
  std::vector<Source> sources_ = {{}};  // The first is of what is added before any source begins.
  data::Origin origin_;                 // Where the record begun last stands.
  int64_t records_ = 0, dropped_records_ = 0, dropped_ = 0, added_ = 0, samples_ = 0, left_tokens_ = 0;
  int64_t truncated_ = 0, longest_ = 0, longest_uncut_ = 0, tokens_ = 0, supervised_ = 0;
  std::array<int64_t, kKinds> refused_ = {};
  std::vector<std::string> places_;  // The first ten violations.
  std::vector<Kept> kept_;
  data::SampleSpill spill_;  // The samples of kept_, then rows.
  std::vector<Shown> shown_;
};

}  // namespace ft::prepare
