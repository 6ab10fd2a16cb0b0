// Strings with the ids and texts that original tokenizers make of them, compared with ours. They are the case `tokenizer` of
// the reference folder: strings.json, and a folder a vocabulary.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "core/base/status.h"

namespace ft::testing {

struct TokenizerReference {
  const char* name;
  const char* folder;
  const char* results;        // The file with the original's ids and texts, a line a string.
  const char* vocabulary;     // The file without which the folder cannot be compared.
  bool parse_special = true;  // Whether the original reads special tokens out of the text.
  bool same_text = true;      // false = the original's class adds or drops spaces beside special tokens.
};

inline constexpr TokenizerReference kTokenizerReferences[] = {
    {"smollm2", "smollm2", "tokenizers.jsonl", "tokenizer.json"},
    {"starcoder", "starcoder", "tokenizers.jsonl", "tokenizer.json"},
    {"qwen", "qwen", "tiktoken.jsonl", "qwen.tiktoken"},
    {"qwen_hf", "qwen", "hf.jsonl", "qwen.tiktoken", true, false},
    {"llama3", "llama3", "tiktoken.jsonl", "tokenizer.model"},
    {"baichuan", "baichuan", "sentencepiece.jsonl", "tokenizer.model", false},
    {"baichuan_hf", "baichuan", "hf.jsonl", "tokenizer.model", true, false},
    {"chatglm3", "chatglm3_trained", "sentencepiece.jsonl", "tokenizer.model", false},
    {"chatglm3_hf", "chatglm3_trained", "hf.jsonl", "tokenizer.model", false},
    {"chatglm3_roles", "chatglm3_trained", "hf_encode_special_tokens.jsonl", "tokenizer.model", true, false},
    {"internlm", "internlm", "sentencepiece.jsonl", "tokenizer.model", false},
    {"internlm_hf", "internlm", "hf.jsonl", "tokenizer.model", true, false},
    {"llama2", "llama2", "sentencepiece.jsonl", "tokenizer.model", false},
    {"llama2_hf", "llama2", "hf_fast.jsonl", "tokenizer.model", true, false},
    {"mistral_v1", "mistral_v1", "sentencepiece.jsonl", "tokenizer.model", false},
    {"mistral_v1_hf", "mistral_v1", "hf_fast.jsonl", "tokenizer.model", true, false},
};

// The file of a row's vocabulary; empty where it is not here. That of llama3 is not part of the reference folder: the wheel
// of llama-models in cmake/checks.lock has it.
std::filesystem::path VocabularyFile(const std::filesystem::path& folder,
                                     const TokenizerReference& reference);

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
