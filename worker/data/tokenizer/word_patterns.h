// The regular expressions that nearly all byte-level vocabularies cut words with, and for each a scanner by hand that cuts
// the same words several times faster. regex.h runs all others.
#pragma once

#include <cstddef>
#include <string_view>

namespace ft::tokenizer {

// GPT-2's words, also what a ByteLevel pre-tokenizer with use_regex does.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Qwen's words (all generations).
inline constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Llama 3's words: as Qwen's, but up to three digits together.
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kDigitPattern = R"(\p{N})";

// Where the match that begins at `pos`, or the text before the next match, ends. Every byte of a text belongs to a match
// of these patterns but for kDigitPattern, of which `*matched` tells. REQUIRES: UTF-8, pos < text.size().
using WordScanner = size_t (*)(std::string_view text, size_t pos, bool* matched);

// Null for patterns that are not among those above.
WordScanner ScannerOf(std::string_view pattern);

}  // namespace ft::tokenizer
