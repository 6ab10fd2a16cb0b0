// A micro-batch as the trainer gives it, and as the model reads it: samples end to end, no padding.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/decoder.h"

namespace ft::run {

// Samples right-padded to one length. Padding is a length, not a token: what lies behind lengths[b] is never
// read, and no sample sees another, so a packed row is nothing but more samples.
struct MicroBatch {
  torch::Tensor ids_BT;               // int64.
  torch::Tensor labels_BT;            // int64, not shifted; -100 = carries no loss.
  std::vector<int64_t> lengths;       // Of each row, 1..T.
  std::vector<uint64_t> sample_keys;  // Of each row; with seed and step they decide dropout.
  uint64_t seed = 0;
  uint64_t step = 0;
  // Rotary angles that depend on the input's length look at each sample's own, so that a sample's loss does not
  // depend on what it shares a batch with; else at the padded length, as the original implementations do.
  bool own_lengths = false;
};

// The rows that the model computes. N = sum of the lengths.
struct PackedRows {
  torch::Tensor ids_N;              // int64.
  std::vector<int64_t> position_N;  // In its sample.
  std::vector<uint64_t> sample_N;   // The sample's key.
  std::vector<ops::AttentionSegment> segments;
  std::vector<int64_t> rope_lengths;     // Of each segment: what length-dependent rotary angles look at.
  std::vector<int64_t> supervised_rows;  // Rows whose next token carries loss, in order.
  std::vector<int64_t> targets;          // Those next tokens.
};

// INVALID_ARGUMENT where shapes disagree, or an id or a label is outside the vocabulary.
StatusOr<PackedRows> Pack(const MicroBatch& batch, int64_t vocabulary);

}  // namespace ft::run
