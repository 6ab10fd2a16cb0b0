// Samples as matrices, the way reference results and tests have them.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "core/base/status.h"
#include "worker/model/run/packed_rows.h"

namespace ft::run {

// Samples right-padded to one length. Padding is a length, not a token: what lies behind lengths[b] is never read.
struct PaddedBatch {
  torch::Tensor ids_BT;               // int64.
  torch::Tensor labels_BT;            // int64, not shifted; -100 = carries no loss. Undefined: none does.
  std::vector<int64_t> lengths;       // Length of each row, 1..T.
  std::vector<uint64_t> sample_keys;  // Key of each row; with seed and step they decide dropout.
  uint64_t seed = 0;
  uint64_t step = 0;
};

// Rotary angles that depend on the input's length look at the padded length, as the original implementations do.
// INVALID_ARGUMENT where shapes disagree, or an id or a label is outside the vocabulary.
StatusOr<PackedRows> Pack(const PaddedBatch& batch, int64_t vocabulary);

}  // namespace ft::run
