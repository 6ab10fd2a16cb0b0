// Strings with the ids and texts that original tokenizers make of them, compared with ours. They are the case `tokenizer` of
// the reference folder: strings.json, and a folder a vocabulary.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "core/base/status.h"

namespace ft::testing {

struct TokenizerReference {
  const char* folder;
  const char* results;     // The file with the original's ids and texts, a line a string.
  const char* vocabulary;  // The file without which the folder cannot be compared.
};

// The vocabularies of kinds that are read.
inline constexpr TokenizerReference kTokenizerReferences[] = {
    {"smollm2", "tokenizers.jsonl", "tokenizer.json"},
    {"starcoder", "tokenizers.jsonl", "tokenizer.json"},
    {"qwen", "tiktoken.jsonl", "qwen.tiktoken"},
    {"llama3", "tiktoken.jsonl", "tokenizer.model"},
};

struct TokenizerDifferences {
  size_t strings = 0;  // All of strings.json: never none.
  size_t count = 0;    // Of these, other ids or another text, or offsets that go back or leave the string.
  std::string first;   // The first of them, for people.
};

// `folder` holds strings.json. INVALID_ARGUMENT when a file is not as described above, or leaves a string out; errors of
// OpenTokenizer.
StatusOr<TokenizerDifferences> CompareTokenizer(const std::filesystem::path& folder,
                                                const TokenizerReference& reference);

}  // namespace ft::testing
