#include "worker/data/tokenizer/text_places.h"

#include <algorithm>

namespace ft::tokenizer {

void OffsetMap::MapTokens(size_t first, std::vector<EncodedToken>* tokens) const {
  if (runs_.empty()) return;
  size_t at = 0;  // The run that holds the byte asked for last: tokens go forward.
  const auto run_at = [&](uint32_t normal) -> const Run& {
    while (at > 0 && runs_[at].normal_begin > normal) --at;
    while (at + 1 < runs_.size() && runs_[at + 1].normal_begin <= normal) ++at;
    return runs_[at];
  };
  for (size_t i = first; i < tokens->size(); ++i) {
    EncodedToken& token = (*tokens)[i];
    const uint32_t begin = token.begin, end = token.end;
    const Run& front = run_at(begin);
    token.begin = front.changed
                      ? front.source_begin
                      : std::min(front.source_end, front.source_begin + (begin - front.normal_begin));
    if (end <= begin) {
      token.end = token.begin;
      continue;
    }
    const Run& back = run_at(end - 1);
    token.end = back.changed ? back.source_end : back.source_begin + (end - back.normal_begin);
  }
}

void NormalizedText::MapToSource(size_t first, std::vector<EncodedToken>* tokens) const {
  for (auto map = maps.rbegin(); map != maps.rend(); ++map) map->MapTokens(first, tokens);
}

}  // namespace ft::tokenizer
