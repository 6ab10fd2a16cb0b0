// UTF-8 one character at a time, and decoded tokens put together into whole characters.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ft::tokenizer {

// What lies at one place of a text.
struct Utf8Char {
  enum class Kind { kValid, kInvalid, kIncomplete };
  Kind kind = Kind::kInvalid;
  size_t length = 1;  // Bytes; of an invalid or incomplete sequence, its longest start that could have become
                      // a character.
  char32_t code = 0;  // The code point, when valid.
};

// REQUIRES: pos < text.size().
Utf8Char ReadUtf8(std::string_view text, size_t pos);
// The character that ends before pos. REQUIRES: 0 < pos <= text.size() and valid UTF-8 before pos.
Utf8Char ReadUtf8Before(std::string_view text, size_t pos);

// The place of the first byte that does not belong to a character; nothing when the text is UTF-8.
std::optional<size_t> FirstInvalidUtf8(std::string_view text);
// Each broken sequence replaced by U+FFFD, as Python's errors="replace" and Rust's lossy conversion do.
std::string ReplaceInvalidUtf8(std::string_view text);

// Unicode's property White_Space.
bool IsWhiteSpace(char32_t code);
void AppendUtf8(char32_t code, std::string* out);

// Holds back the bytes of a character until it is complete, so that text can be shown token by token.
//   for (id : generated) Print(streamer.Push(tokenizer.Decode({id})));  Print(streamer.Flush());
// One thread. Holds at most three bytes.
class Utf8Streamer {
 public:
  // The whole characters that are ready; broken bytes become U+FFFD.
  std::string Push(std::string_view bytes);
  // What is still held back, as U+FFFD; afterwards the streamer is empty.
  std::string Flush();

 private:
  std::string pending_;
};

}  // namespace ft::tokenizer
