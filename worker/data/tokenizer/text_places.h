// A changed text and, for its bytes, the bytes of the source that they were made from.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/data/tokenizer/tokenizer.h"

namespace ft::tokenizer {

// From places in a changed text back to its source. Empty = both are the same.
class OffsetMap {
 public:
  // Runs follow each other without gaps.
  struct Run {
    uint32_t normal_begin, source_begin, source_end;
    bool changed;  // Lengths may differ: the run maps as a whole.
  };
  // Runs of unchanged text that follow each other may be added as one or as several.
  void Add(const Run& run) { runs_.push_back(run); }
  bool empty() const { return runs_.empty(); }
  // Gives the tokens from `first` on, which are in order, their places in the source.
  void MapTokens(size_t first, std::vector<EncodedToken>* tokens) const;

 private:
  std::vector<Run> runs_;
};

// How long a text of so many bytes may become: what no honest vocabulary reaches, so that a hostile one fills no memory.
inline size_t LongestChange(size_t source_bytes) {
  return std::min((size_t{1} << 31) - 1, (size_t{1} << 20) + 32 * source_bytes);
}

struct NormalizedText {
  std::string text;             // Only filled when the source changes.
  std::vector<OffsetMap> maps;  // One a step that changed something; the last belongs to `text`.
  bool changed = false;
  // The changed text; `source` is what it was made from.
  std::string_view view(std::string_view source) const { return changed ? std::string_view(text) : source; }
  void MapToSource(size_t first, std::vector<EncodedToken>* tokens) const;
};

}  // namespace ft::tokenizer
