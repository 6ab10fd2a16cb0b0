// What comes of one case: its measures, or why it could not be run.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::golden {

// One compared quantity. It passes when the error is a number at most the limit.
struct Measure {
  std::string name;
  double error = 0;
  double limit = 0;
  bool passed() const { return error <= limit; }
};

struct CaseResult {
  std::string name;
  Status status;                     // Why it could not be run, e.g. an unsupported family.
  std::vector<Measure> measures;     // The worst of each kind.
  std::vector<std::string> skipped;  // Parts that cannot be compared here, each with the reason.
  // There are measures, and all are within their limits.
  bool passed() const;
  // "logits 3.1e-07/2.0e-05  loss ...": errors and limits, or why there are none; then what was skipped.
  std::string Details() const;
  // "PASS llama_mha  " or "FAIL ...", and the details.
  std::string Line() const;
};

// Keeps the worst measure of each name.
void Record(std::vector<Measure>& measures, const Measure& measure);

}  // namespace ft::golden
