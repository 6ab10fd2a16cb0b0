// What XTuner's arxiv recipes train on, chosen from Kaggle's metadata of all papers (Cornell-University/arxiv, one JSON object a line):
// papers of some categories that were changed since a date.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::client {

struct ArxivChoice {
  std::vector<std::string> categories = {"cs.AI", "cs.CL", "cs.CV"};  // One of them is enough.
  std::string start_date = "2020-01-01";                              // Of update_date.
};

struct ArxivCounts {
  int64_t records = 0;
  int64_t kept = 0;
  std::vector<int64_t> broken;  // Numbers of lines that are no JSON objects, the first ten.
  int64_t all_broken = 0;
};

// Writes the chosen records, as they stand in `source`, as one JSON array. `target` gets its name when it is whole. Memory: a line.
// INVALID_ARGUMENT: a date that is none, no categories, a `target` that is there, no record that is chosen, a line above 16 MiB.
StatusOr<ArxivCounts> PreprocessArxiv(const std::filesystem::path& source,
                                      const std::filesystem::path& target, const ArxivChoice& choice);

}  // namespace ft::client
