// A set of byte strings, each with a value, asked which of them begin at a place of a text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace ft::tokenizer {

// Built once, then immutable and thread-safe. 12 bytes a node, at most one node a byte of the strings.
class ByteTrie {
 public:
  struct Match {
    int32_t value = -1;
    size_t length = 0;  // 0 = nothing begins there.
  };
  ByteTrie() = default;
  // Values are at least 0; of a string given twice the first counts. Empty strings are left out.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries);

  bool empty() const { return nodes_.empty(); }
  // Whether some string begins with this byte: a quick way over text that holds none.
  bool MayBeginWith(char byte) const { return first_bytes_[static_cast<unsigned char>(byte)]; }
  // The longest string at text[pos]. REQUIRES: pos <= text.size().
  Match Longest(std::string_view text, size_t pos) const;
  // Calls visit(value, length) for every string at text[pos], the shortest first.
  template <typename Visit>
  void ForEach(std::string_view text, size_t pos, Visit visit) const {
    if (nodes_.empty()) return;
    uint32_t node = 0;
    for (size_t i = pos; i < text.size(); ++i) {
      node = Child(node, static_cast<unsigned char>(text[i]));
      if (node == 0) return;
      if (nodes_[node].value >= 0) visit(nodes_[node].value, i + 1 - pos);
    }
  }

 private:
  // Children lie side by side in order of their labels.
  struct Node {
    uint32_t first_child = 0;
    uint16_t children = 0;
    uint8_t label = 0;
    int32_t value = -1;
  };
  uint32_t Child(uint32_t node, unsigned char byte) const {  // 0 = there is none.
    if (node == 0) return root_[byte];
    const Node& parent = nodes_[node];
    const Node* child = nodes_.data() + parent.first_child;
    const Node* end = child + parent.children;
    if (parent.children > 8) {
      while (end - child > 1) {
        const Node* middle = child + (end - child) / 2;
        (middle->label <= byte ? child : end) = middle;
      }
      return child->label == byte ? static_cast<uint32_t>(child - nodes_.data()) : 0;
    }
    for (; child != end; ++child) {
      if (child->label == byte) return static_cast<uint32_t>(child - nodes_.data());
    }
    return 0;
  }

  std::vector<Node> nodes_;              // Node 0 is the root.
  std::array<uint32_t, 256> root_ = {};  // The root's children by label.
  std::array<bool, 256> first_bytes_ = {};
};

}  // namespace ft::tokenizer
