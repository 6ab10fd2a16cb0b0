// Cuts a piece of text into the words that a model cuts into tokens one by one.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "worker/data/tokenizer/regex.h"
#include "worker/data/tokenizer/word_patterns.h"

namespace ft::tokenizer {

// What becomes of a match between its neighbours.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitStep {
  Regex regex;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // What lies between the matches counts as matched.
};

// Immutable once built; then thread-safe. Each step cuts the words that the step before made, seeing each
// alone.
class PreTokenizer {
 public:
  // Buffers that one thread reuses.
  struct Scratch {
    std::vector<std::string_view> words, next;
  };
  void Add(SplitStep step);
  // Appends an isolating step.
  Status AddPattern(std::string_view pattern);
  bool empty() const { return steps_.empty(); }
  // Words from left to right, as views into `piece`, in scratch->words.
  Status Split(std::string_view piece, Scratch* scratch) const;

 private:
  struct Step {
    SplitStep split;
    WordScanner scanner;  // Null = the regular expression does it.
  };
  std::vector<Step> steps_;
};

}  // namespace ft::tokenizer
