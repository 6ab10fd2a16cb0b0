// Cuts a piece of text into the words that byte-pair encoding treats one by one.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "worker/data/tokenizer/regex.h"

namespace ft::tokenizer {

// GPT-2's words, also what a ByteLevel pre-tokenizer with use_regex does.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Qwen's words (all generations).
inline constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Llama 3's words: as Qwen's, but up to three digits together.
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kDigitPattern = R"(\p{N})";

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
  void Add(SplitStep step) { steps_.push_back(std::move(step)); }
  // Appends an isolating step.
  Status AddPattern(std::string_view pattern);
  // Words from left to right, as views into `piece`.
  Status Split(std::string_view piece, std::vector<std::string_view>* words) const;

 private:
  std::vector<SplitStep> steps_;
};

}  // namespace ft::tokenizer
