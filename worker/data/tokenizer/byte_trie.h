// A set of byte strings, each with a value, asked which of them begin at a place of a text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace ft::tokenizer {

// A double array (Aoe 1989): a node is a cell, and its child for a byte is the cell at base ^ byte if that cell names the node as
// its parent, so that a step reads one cell. Built once, then immutable and thread-safe. 12 bytes a cell: about one a node in
// vocabularies of languages, fifteen at worst; at most one node a byte of the strings.
class ByteTrie {
 public:
  struct Match {
    int32_t value = -1;
    size_t length = 0;  // 0 = nothing begins there.
  };
  ByteTrie() = default;
  // Values are at least 0; of a string given twice the first counts. Empty strings are left out.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries);

  bool empty() const { return cells_.empty(); }
  // Whether some string begins with this byte: a quick way over text that holds none.
  bool MayBeginWith(char byte) const { return first_bytes_[static_cast<unsigned char>(byte)]; }
  // The longest string at text[pos]. REQUIRES: pos <= text.size().
  Match Longest(std::string_view text, size_t pos) const;
  // Calls visit(value, length) for every string at text[pos], the shortest first.
  template <typename Visit>
  void ForEach(std::string_view text, size_t pos, Visit visit) const {
    if (cells_.empty()) return;
    uint32_t node = 0;
    uint32_t base = cells_[0].base;
    for (size_t i = pos; i < text.size(); ++i) {
      const uint32_t child = base ^ static_cast<unsigned char>(text[i]);
      const Cell& cell = cells_[child];
      if (cell.parent != node) return;
      if (cell.value >= 0) visit(cell.value, i + 1 - pos);
      node = child;
      base = cell.base;
    }
  }

 private:
  friend class ByteTrieBuilder;
  static constexpr uint32_t kFree = UINT32_MAX;
  // Cell 0 is the root, which has no parent. Of a node without children `base` is 0.
  struct Cell {
    uint32_t base = 0;
    uint32_t parent = kFree;
    int32_t value = -1;
  };

  std::vector<Cell> cells_;  // In whole blocks of 256, so that base ^ byte always lies within.
  std::array<bool, 256> first_bytes_ = {};
};

}  // namespace ft::tokenizer
