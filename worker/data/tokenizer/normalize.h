// Unicode normalisation that remembers which bytes of the source each byte came from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace ft::tokenizer {

enum class Normalization { kNone, kNfc, kNfkc };

// From places in a normalised text back to its source. Empty = both are the same.
class OffsetMap {
 public:
  // Runs follow each other without gaps.
  struct Run {
    uint32_t normal_begin, source_begin, source_end;
    bool changed;  // Lengths may differ: the run maps as a whole.
  };
  void Add(const Run& run) { runs_.push_back(run); }
  bool empty() const { return runs_.empty(); }
  // Source bytes of the normalised bytes [begin, end).
  std::pair<uint32_t, uint32_t> Source(uint32_t begin, uint32_t end) const;

 private:
  const Run& RunAt(uint32_t normal) const;
  std::vector<Run> runs_;
};

struct NormalizedText {
  std::string text;  // Only filled when the source changes.
  OffsetMap map;
  bool changed = false;
  // The normalised text; `source` is what was given to Normalize.
  std::string_view view(std::string_view source) const { return changed ? std::string_view(text) : source; }
};

// REQUIRES: source is UTF-8 of at most 1 GiB.
StatusOr<NormalizedText> Normalize(Normalization form, std::string_view source);

}  // namespace ft::tokenizer
