// Which samples a step trains on: a pure function of (seed, epoch, global sample index), whatever the ranks.
//
// A step is micro_batch x accumulation rows. Without packing a row is one sample. With packing a row is several whole
// samples that together fit row_tokens: an epoch's samples, in shuffled order, go into a few open rows, each into the
// fullest that has room (best fit over a window); when none has, the fullest is closed. No sample is cut, and which samples
// share a row decides nothing but speed, since samples do not see each other.
//
// With whole_epochs a row is one sample, and an epoch is divided as PyTorch's samplers divide it: it is rounded up to a multiple of
// the ranks by its first samples, dealt out to the ranks, and each rank's share cut into micro-batches of which the last may be short.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace ft::data {

// The place of position `index` in epoch `epoch`'s permutation of 0..size-1: a Feistel network over the next power of
// four with Philox as its round function, walked until it falls inside (Black and Rogaway 2002, "Ciphers with arbitrary
// finite domains"). REQUIRES: 0 <= index < size.
int64_t PermutedIndex(uint64_t seed, int64_t epoch, int64_t index, int64_t size);

struct SamplerConfig {
  uint64_t seed = 0;
  bool shuffle = true;
  int64_t samples = 0;  // Training samples; above 0.
  int64_t epochs = 1;
  int64_t max_steps = 0;     // 0 = by epochs.
  int64_t micro_batch = 1;   // Rows.
  int64_t accumulation = 1;  // Micro-batches of a step.
  int64_t ranks =
      1;  // As submitted: so many of a step's micro-batches are computed at a time. Divides accumulation.
  bool whole_epochs = false;  // No micro-batch goes on over an epoch's end. Without packing.
  bool packing = false;
  int64_t row_tokens = 0;        // Tokens of a packed row.
  std::vector<int64_t> lengths;  // With packing: of every sample, at most row_tokens.
};

// One sample of a step: where it lies in the cache, and its global count since the run's start (its random key), which
// packing does not change.
struct OrderedSample {
  int64_t index = 0;
  uint64_t key = 0;
};

// One thread; remembers the epochs it has packed last.
class BatchSampler {
 public:
  explicit BatchSampler(SamplerConfig config);

  // Optimizer steps of the whole run; the last may be smaller when `epochs` ends it. With packing and without max_steps
  // every epoch is packed once to count its rows.
  int64_t total_steps() const { return total_steps_; }

  // The micro-batches of optimizer step `step` (from 1), in the order in which they are added.
  std::vector<std::vector<OrderedSample>> Step(int64_t step) const;

  // Samples trained up to the end of `step`.
  int64_t SamplesSeen(int64_t step) const;
  // Epochs that have ended by the end of `step`; 0 for step 0.
  int64_t EpochsEnded(int64_t step) const;

  // An iteration is a micro-batch of every rank, as submitted: what others' schedules and intervals count.
  int64_t IterationsPerStep() const { return config_.accumulation / config_.ranks; }
  int64_t total_iterations() const;  // Of the run.
  // Whether `step` has an iteration whose number in its epoch, from 1, is a multiple of `interval`.
  bool HoldsIteration(int64_t step, int64_t interval) const;

 private:
  // An epoch's rows: row r is samples [ends[r - 1], ends[r]).
  struct Packed {
    int64_t epoch = -1;
    std::vector<OrderedSample> samples;
    std::vector<int64_t> ends;
  };
  OrderedSample At(int64_t epoch, int64_t position) const;
  Packed Pack(int64_t epoch) const;
  const Packed& Rows(int64_t epoch) const;
  // Rows before `epoch`; packs the epochs between the last known and it.
  int64_t RowsBefore(int64_t epoch) const;
  // The epoch and the row in it of the run's row `row`.
  std::pair<int64_t, int64_t> Locate(int64_t row) const;
  int64_t rows_per_step() const { return config_.micro_batch * config_.accumulation; }
  int64_t RowsOfIteration() const { return config_.micro_batch * config_.ranks; }
  // With whole_epochs.
  int64_t SamplesOfRank() const { return (config_.samples + config_.ranks - 1) / config_.ranks; }
  int64_t IterationsOfEpoch() const {
    return (SamplesOfRank() + config_.micro_batch - 1) / config_.micro_batch;
  }
  int64_t IterationsUpTo(int64_t step) const;  // All of the run's up to the end of `step`.
  std::vector<OrderedSample> MicroBatchOf(int64_t iteration, int64_t rank) const;
  int64_t RowsOfRun() const;  // Where epochs end it; INT64_MAX where max_steps does.

  const SamplerConfig config_;
  mutable Packed packed_;                           // The epoch looked at last.
  mutable std::vector<int64_t> rows_before_ = {0};  // With packing: of the epochs known so far.
  int64_t total_steps_ = 0;
};

}  // namespace ft::data
