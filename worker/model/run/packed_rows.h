// A micro-batch as the model reads it: samples end to end, no padding.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "worker/model/ops/attention.h"

namespace ft::run {

// N rows, the sum of the samples' lengths. No sample sees another, so a packed row is nothing but more samples.
struct PackedRows {
  torch::Tensor ids_N;              // int64, in host memory.
  std::vector<int64_t> position_N;  // In its sample.
  std::vector<uint64_t> sample_N;   // The sample's key.
  std::vector<ops::AttentionSegment> segments;
  std::vector<int64_t> rope_lengths;     // The length that rotary angles of each segment look at.
  std::vector<int64_t> supervised_rows;  // Rows whose next token carries loss, in order.
  std::vector<int64_t> targets;          // Those next tokens.
  uint64_t seed = 0, step = 0;           // With the samples' keys they decide dropout.
};

struct RowsSample {
  std::span<const int32_t> ids;
  std::span<const uint8_t> loss_mask;  // One a token: not 0 where predicting it counts. Empty: none does.
  uint64_t key = 0;
};

// The samples' rows. Rotary angles that depend on the input's length look at each sample's own, so that a sample's loss does not
// depend on what it shares a batch with. REQUIRES: ids inside the vocabulary.
PackedRows PackRows(const std::vector<RowsSample>& samples, uint64_t seed, uint64_t step);

}  // namespace ft::run
