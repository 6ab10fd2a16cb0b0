// Which samples a step trains on: a pure function of (seed, epoch, global sample index), whatever the ranks.
#pragma once

#include <cstdint>
#include <vector>

namespace ft::data {

// The place of position `index` in epoch `epoch`'s permutation of 0..size-1: a Feistel network over the next power of
// four with Philox as its round function, walked until it falls inside (Black and Rogaway 2002, "Ciphers with arbitrary
// finite domains"). REQUIRES: 0 <= index < size.
int64_t Shuffled(uint64_t seed, int64_t epoch, int64_t index, int64_t size);

struct OrderConfig {
  uint64_t seed = 0;
  bool shuffle = true;
  int64_t samples = 0;         // Training samples.
  int64_t epochs = 1;
  int64_t max_steps = 0;       // 0 = by epochs.
  int64_t micro_batch = 1;
  int64_t accumulation = 1;
};

// Optimizer steps of the whole run; the last may be smaller when `epochs` ends it.
int64_t TotalSteps(const OrderConfig& config);

// One sample of a step: where it lies in the cache, and its global count since the run's start (its random key).
struct OrderedSample {
  int64_t index = 0;
  uint64_t key = 0;
};

// The micro-batches of optimizer step `step` (from 1), in the order in which they are added.
std::vector<std::vector<OrderedSample>> StepSamples(const OrderConfig& config, int64_t step);

}  // namespace ft::data
