#include "worker/data/tokenizer/byte_trie.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <optional>

namespace ft::tokenizer {
namespace {

// Entries [begin, end) of the sorted list that share `depth` bytes, and the node that stands for those.
struct Range {
  size_t begin, end, depth;
  uint32_t node;
};

}  // namespace

// Finds room for the children of one node after the other.
class ByteTrieBuilder {
 public:
  explicit ByteTrieBuilder(std::vector<ByteTrie::Cell>* cells) : cells_(*cells) {
    OpenBlock();
    open_.front().Take(0);  // The root.
  }

  // Gives the node children with these labels, which are all different. REQUIRES: at least one.
  void AddChildren(uint32_t node, const std::vector<uint8_t>& labels) {
    const uint32_t base = TakeRoom(labels);
    cells_[node].base = base;
    for (const uint8_t label : labels) cells_[base ^ label].parent = node;
  }

 private:
  static constexpr size_t kBlock = 256;
  // How many blocks are searched for room: with more the array is hardly denser, and building takes longer.
  static constexpr size_t kMaxOpen = 16;
  struct Block {
    uint32_t begin;
    std::array<uint64_t, kBlock / 64> free = {~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0},
                                              ~uint64_t{0}};  // A bit a cell.
    bool is_free(uint32_t cell) const { return (free[cell / 64] >> (cell % 64) & 1) != 0; }
    void Take(uint32_t cell) { free[cell / 64] &= ~(uint64_t{1} << (cell % 64)); }
  };

  void OpenBlock() {
    if (open_.size() == kMaxOpen) open_.erase(open_.begin());
    open_.push_back({.begin = static_cast<uint32_t>(cells_.size())});
    cells_.resize(cells_.size() + kBlock);
  }

  // The first offset from the block's beginning that has room for the labels.
  static std::optional<uint32_t> Fit(const Block& block, const std::vector<uint8_t>& labels) {
    for (uint32_t word = 0; word < block.free.size(); ++word) {
      for (uint64_t left = block.free[word]; left != 0; left &= left - 1) {
        const uint32_t offset = (64 * word + static_cast<uint32_t>(std::countr_zero(left))) ^ labels.front();
        if (std::all_of(labels.begin(), labels.end(),
                        [&](uint8_t label) { return block.is_free(offset ^ label); }))
          return offset;
      }
    }
    return std::nullopt;
  }

  // The base of children with these labels, whose cells are not free any more.
  uint32_t TakeRoom(const std::vector<uint8_t>& labels) {
    size_t index = 0;
    std::optional<uint32_t> offset;
    for (; index < open_.size() && !offset; ++index) offset = Fit(open_[index], labels);
    if (!offset) {
      OpenBlock();
      index = open_.size();
      offset = 0;
    }
    Block& block = open_[index - 1];
    for (const uint8_t label : labels) block.Take(*offset ^ label);
    const uint32_t base = block.begin + *offset;
    if (block.free == std::array<uint64_t, kBlock / 64>{})
      open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(index) - 1);
    return base;
  }

  std::vector<ByteTrie::Cell>& cells_;
  std::vector<Block> open_;  // The oldest first.
};

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries) {
  std::erase_if(entries, [](const auto& entry) { return entry.first.empty(); });
  if (entries.empty()) return;
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [text, value] : entries) first_bytes_[static_cast<unsigned char>(text[0])] = true;
  ByteTrieBuilder builder(&cells_);
  std::vector<uint8_t> labels;
  // Level by level, so that a long string takes no stack.
  std::vector<Range> level = {{0, entries.size(), 0, 0}}, next;
  for (; !level.empty(); level.swap(next), next.clear()) {
    for (Range range : level) {
      if (entries[range.begin].first.size() == range.depth)
        cells_[range.node].value = entries[range.begin].second;
      while (range.begin < range.end && entries[range.begin].first.size() == range.depth) ++range.begin;
      if (range.begin == range.end) continue;
      const size_t first = next.size();
      labels.clear();
      for (size_t begin = range.begin, end = begin; begin < range.end; begin = end) {
        const char byte = entries[begin].first[range.depth];
        while (end < range.end && entries[end].first[range.depth] == byte) ++end;
        labels.push_back(static_cast<uint8_t>(byte));
        next.push_back({begin, end, range.depth + 1, 0});
      }
      builder.AddChildren(range.node, labels);
      for (size_t i = 0; i < labels.size(); ++i) next[first + i].node = cells_[range.node].base ^ labels[i];
    }
  }
}

ByteTrie::Match ByteTrie::Longest(std::string_view text, size_t pos) const {
  Match longest;
  ForEach(text, pos, [&longest](int32_t value, size_t length) { longest = {value, length}; });
  return longest;
}

}  // namespace ft::tokenizer
