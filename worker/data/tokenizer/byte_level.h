// The alphabet in which byte-level vocabularies write their tokens: every byte is one printable character.
// Printable Latin-1 bytes stand for themselves, the 68 others for U+0100, U+0101, ... in order (GPT-2's
// scheme).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ft::tokenizer {

// The bytes that a token stands for; nothing when it holds a character outside the alphabet.
std::optional<std::string> ByteLevelToBytes(std::string_view token);
// The inverse.
std::string BytesToByteLevel(std::string_view bytes);

}  // namespace ft::tokenizer
