// The character map of a SentencePiece model's normaliser (its field precompiled_charsmap): byte strings and
// what is written instead of them.
//
// Layout (little-endian, SentencePiece's builder.cc): the size of the trie in bytes (32 bits), the trie, then the
// replacements, each ended by a zero byte. The trie is Darts-clone's double array: units of 32 bits; from unit u the byte
// c leads to unit (u's place ^ offset(u) ^ c) if that unit's label is c, and where a string ends the unit at (place ^
// offset) holds the place of its replacement.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace ft::tokenizer {

// Immutable and thread-safe. Whatever the bytes say, a search stays within them and ends.
class Charsmap {
 public:
  struct Match {
    size_t length = 0;  // Of the text that is replaced; 0 = nothing is.
    std::string_view replacement;
  };
  Charsmap() = default;
  // INVALID_ARGUMENT when sizes do not fit.
  static StatusOr<Charsmap> Parse(std::string_view blob);
  bool empty() const { return units_.empty(); }
  // Whether a string of the map may stand at text[pos]: a quick way over text that holds none. REQUIRES: pos < text.size().
  bool MayBeginAt(std::string_view text, size_t pos) const {
    const auto byte = [&](size_t i) {
      return i < text.size() ? static_cast<unsigned char>(text[i]) : size_t{0};
    };
    return begins_[byte(pos) << 8 | byte(pos + 1)];
  }
  // The longest string of the map at text[pos].
  Match Longest(std::string_view text, size_t pos) const;

 private:
  void FindBeginnings();

  std::vector<uint32_t> units_;
  std::bitset<256 * 256>
      begins_;  // First and second byte of some string; of strings of one byte, with every second one.
  std::string replacements_;  // Ends with a zero byte.
};

}  // namespace ft::tokenizer
