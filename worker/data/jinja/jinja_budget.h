// What a rendering may still use. Every step of the evaluator and every function that looks at all of a value takes from
// it, so that no template runs long, however it is made.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/status.h"

namespace ft::data {

struct JinjaLimits {
  // Expressions and statements; 64 bytes of text that is made or looked at, and each item of a list, count as one more.
  // A million take about 0.1 s.
  uint64_t max_steps = 5'000'000;
  size_t max_output_bytes = size_t{64} << 20;  // Also of each string on the way.
  int max_nesting = 500;  // Expressions, blocks and macros inside each other while they run.
};

namespace jinja {

// One rendering's. RESOURCE_EXHAUSTED beyond a limit, without the line, which the evaluator adds.
class Budget {
 public:
  explicit Budget(const JinjaLimits& limits) : limits_(limits) {}

  Status Charge(uint64_t steps) {
    steps_ += steps;
    return steps_ <= limits_.max_steps ? absl::OkStatus() : OutOfSteps();
  }
  // For a text of that length that was made.
  Status ChargeText(size_t bytes) {
    return bytes <= limits_.max_output_bytes ? Charge(1 + bytes / 64) : TooLong();
  }
  // Before a text of that length is made, so that no memory is taken for it.
  Status CheckText(size_t bytes) const {
    return bytes <= limits_.max_output_bytes ? absl::OkStatus() : TooLong();
  }

  Status Enter() { return ++nesting_ <= limits_.max_nesting ? absl::OkStatus() : TooDeep(); }
  void Leave() { --nesting_; }
  uint64_t max_steps() const { return limits_.max_steps; }

 private:
  Status OutOfSteps() const;
  Status TooLong() const;
  Status TooDeep() const;

  const JinjaLimits& limits_;
  uint64_t steps_ = 0;
  int nesting_ = 0;
};

}  // namespace jinja
}  // namespace ft::data
