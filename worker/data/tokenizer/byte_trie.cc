#include "worker/data/tokenizer/byte_trie.h"

#include <algorithm>
#include <cstddef>

namespace ft::tokenizer {
namespace {

// Entries [begin, end) of the sorted list that share `depth` bytes, and the node that stands for those.
struct Range {
  size_t begin, end, depth;
  uint32_t node;
};

}  // namespace

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries) {
  std::erase_if(entries, [](const auto& entry) { return entry.first.empty(); });
  if (entries.empty()) return;
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  nodes_.emplace_back();
  // Level by level, so that a long string takes no stack.
  std::vector<Range> waiting = {{0, entries.size(), 0, 0}};
  for (size_t next = 0; next < waiting.size(); ++next) {
    const Range range = waiting[next];
    size_t begin = range.begin;
    if (entries[begin].first.size() == range.depth) {
      nodes_[range.node].value = entries[begin].second;
      while (begin < range.end && entries[begin].first.size() == range.depth) ++begin;
    }
    nodes_[range.node].first_child = static_cast<uint32_t>(nodes_.size());
    while (begin < range.end) {
      const char byte = entries[begin].first[range.depth];
      size_t end = begin;
      while (end < range.end && entries[end].first[range.depth] == byte) ++end;
      waiting.push_back({begin, end, range.depth + 1, static_cast<uint32_t>(nodes_.size())});
      nodes_.push_back({.label = static_cast<uint8_t>(byte)});
      ++nodes_[range.node].children;
      begin = end;
    }
  }
  for (uint32_t i = 0; i < nodes_[0].children; ++i) {
    const uint32_t child = nodes_[0].first_child + i;
    root_[nodes_[child].label] = child;
    first_bytes_[nodes_[child].label] = true;
  }
}

ByteTrie::Match ByteTrie::Longest(std::string_view text, size_t pos) const {
  Match longest;
  ForEach(text, pos, [&longest](int32_t value, size_t length) { longest = {value, length}; });
  return longest;
}

}  // namespace ft::tokenizer
