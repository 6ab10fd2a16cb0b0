// Packed rows as XTuner 0.1.9 makes them (decision 92): the samples of a source one after the other, cut into rows of exactly
// row_tokens wherever that falls. Samples of a row see each other, so that a row is one sample of the cache.
//
// Groups of 1,000 samples: what a group leaves goes to the next one; a group that fills no row, with what the one before left, is
// a shorter row. What the last group leaves is dropped.
#pragma once

#include <cstdint>
#include <functional>

#include "worker/data/prepare/collector.h"

namespace ft::prepare {

// One thread, one source.
class XtunerRows {
 public:
  static constexpr int64_t kGroup = 1000;
  using Emit = std::function<void(const Sample& row)>;
  // REQUIRES: row_tokens > 0.
  XtunerRows(int64_t row_tokens, Emit emit) : row_tokens_(row_tokens), emit_(std::move(emit)) {}

  void Add(const Sample& sample);
  void EndGroup();
  // Ends the last group. Returns how many tokens were dropped.
  int64_t Finish();

 private:
  const int64_t row_tokens_;
  const Emit emit_;
  Sample buffer_;
  int64_t in_group_ = 0;
};

}  // namespace ft::prepare
