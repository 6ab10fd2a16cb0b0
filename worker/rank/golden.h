// Comparison with reference results: every case folder of a directory, one line a case with its largest
// errors. The format of the folders and the limits are described in tests/golden/README.md.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::rank {

// One compared quantity. It passes when the error is a number at most the limit.
struct Measure {
  std::string name;
  double error = 0;
  double limit = 0;
  bool passed() const { return error <= limit; }
};

struct CaseResult {
  std::string name;
  Status status;                  // Why it could not be run, e.g. an unsupported family.
  std::vector<Measure> measures;  // The worst of each kind.
  bool passed() const;
  // "PASS llama_mha  logits 3.1e-07/2.0e-05 ...": errors and limits.
  std::string Line() const;
};

// Keeps the worst measure of each name.
void Record(std::vector<Measure>& measures, const Measure& measure);

// Runs one case folder; what kind it is follows from its files.
CaseResult RunCase(const std::filesystem::path& folder, const std::string& dtype);

// The verb: golden DIR [--cases GLOB] [--dtype fp32|bf16]. Status 0 = there was a case and all passed, 1 =
// not, 2 = usage.
int GoldenVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
