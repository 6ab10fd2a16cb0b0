// Tokens that are found in the text as they are, before anything is split: special ones such as <|im_end|>,
// and words that a user added to a vocabulary.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/status.h"

namespace ft::tokenizer {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special =
      false;  // Found only where EncodeOptions::parse_special; left out by DecodeOptions::skip_special.
  bool single_word = false;  // Only where no letter or digit touches it.
  bool lstrip = false;       // Takes the white space before it along.
  bool rstrip = false;       // Takes the white space after it along.
  bool in_text = true;       // false = no text is read as this token.
  bool normalized = false;   // Looked for in the normalised text,
  std::string spelled;       // and there as this (the content normalised); empty = as it is.
  const std::string& target() const { return spelled.empty() ? content : spelled; }
};

// The longest content of an added token.
inline constexpr size_t kMaxAddedTokenBytes = 512;

// Built once, then immutable and thread-safe.
class AddedTokens {
 public:
  // A part of a text: an added token, or text between them (token == nullptr).
  struct Part {
    size_t begin, end;
    const AddedToken* token;
  };
  // INVALID_ARGUMENT: empty or overlong content, or none in UTF-8, or content or id given before with another partner. An equal
  // pair given again changes nothing but may make the token special.
  Status Add(AddedToken token);
  // Whether there are tokens whose `normalized` equals the argument.
  bool any(bool normalized) const { return !(normalized ? normalized_ : raw_).children.empty(); }
  // Cuts a text at the tokens whose `normalized` equals the argument: at each place the longest one.
  std::vector<Part> Split(std::string_view text, bool normalized, bool parse_special) const;
  const AddedToken* Find(std::string_view content) const;
  const AddedToken* FindId(int32_t id) const;
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  // A tree over bytes; node 0 is the root.
  struct Trie {
    absl::flat_hash_map<uint64_t, uint32_t> children;  // Key: node, byte.
    std::array<bool, 256> begins = {};                 // Whether a content begins with the byte.
    std::vector<int32_t> token = {-1};                 // By node: index into tokens_, -1 = none ends here.
    void Insert(std::string_view content, int32_t index);
    // The longest content at text[pos]; its index or -1.
    int32_t Longest(std::string_view text, size_t pos) const;
  };
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, size_t> by_content_;
  std::unordered_map<int32_t, size_t> by_id_;
  Trie raw_, normalized_;
};

}  // namespace ft::tokenizer
