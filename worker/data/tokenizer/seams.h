// The seams of a vocabulary: two characters side by side that no token holds side by side. No token spans a seam, so the
// two sides of one are cut into tokens independently, and a text that nothing else cuts into words can be cut there. In
// most vocabularies every space behind a letter is one.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {

// Built once, then immutable and thread-safe.
class Seams {
 public:
  // Tokens' characters that stand side by side are no seam. REQUIRES: UTF-8.
  void AddToken(std::string_view token) {
    char32_t before = 0;
    for (size_t pos = 0; pos < token.size();) {
      const Utf8Char next = ReadUtf8(token, pos);
      if (pos > 0) Join(before, next.code);
      before = next.code;
      pos += next.length;
    }
  }
  bool IsSeam(char32_t left, char32_t right) const {
    const size_t first = FrequentOf(left), second = FrequentOf(right);
    if (first < kFrequent && second < kFrequent) return !frequent_[first * kFrequent + second];
    return !others_.contains(Key(left, right));
  }

 private:
  // ASCII and SentencePiece's mark of a space (U+2581): between those stand most seams.
  static constexpr size_t kFrequent = 129;
  static size_t FrequentOf(char32_t code) { return code < 128 ? code : code == 0x2581 ? 128 : kFrequent; }
  static uint64_t Key(char32_t left, char32_t right) { return (static_cast<uint64_t>(left) << 32) | right; }
  void Join(char32_t left, char32_t right) {
    const size_t first = FrequentOf(left), second = FrequentOf(right);
    if (first < kFrequent && second < kFrequent) {
      frequent_[first * kFrequent + second] = true;
    } else {
      others_.insert(Key(left, right));
    }
  }
  std::bitset<kFrequent * kFrequent> frequent_;
  absl::flat_hash_set<uint64_t> others_;
};

}  // namespace ft::tokenizer
