// The tokenizer that a GGUF file carries in its metadata. The caller reads the metadata (worker/model/weights) and
// fills this struct; nothing here knows the file format.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::tokenizer {

// Each field with its metadata key; a key that the file lacks leaves the default.
struct GgufVocabulary {
  std::string file;                 // For messages.
  std::string model;                // tokenizer.ggml.model: "gpt2" = byte-level BPE, "llama" = SentencePiece.
  std::string pre;                  // tokenizer.ggml.pre: how words are cut; empty = "default".
  std::vector<std::string> tokens;  // tokenizer.ggml.tokens, by id.
  std::vector<int32_t> token_types;  // tokenizer.ggml.token_type, by id, or empty.
  std::vector<float> scores;         // tokenizer.ggml.scores, by id; of "llama".
  std::vector<std::string> merges;   // tokenizer.ggml.merges: "left right", by rank.
  int64_t bos_id = -1;               // tokenizer.ggml.bos_token_id
  int64_t eos_id = -1;               // tokenizer.ggml.eos_token_id
  int64_t pad_id = -1;               // tokenizer.ggml.padding_token_id
  int64_t unk_id = -1;               // tokenizer.ggml.unknown_token_id
  bool add_bos = false;              // tokenizer.ggml.add_bos_token
  bool add_space_prefix = false;     // tokenizer.ggml.add_space_prefix
  std::string chat_template;         // tokenizer.chat_template
};

// INVALID_ARGUMENT names file and key.
StatusOr<std::unique_ptr<Tokenizer>> MakeGgufTokenizer(const GgufVocabulary& vocabulary);

// The same tokenizer as the files that Hugging Face's libraries read beside a model.
struct TokenizerFiles {
  std::string tokenizer_json;   // Empty where tokenizer_model is the vocabulary.
  std::string tokenizer_model;  // SentencePiece's file, else empty.
  std::string tokenizer_config_json;
};
StatusOr<TokenizerFiles> MakeTokenizerFiles(const GgufVocabulary& vocabulary);

}  // namespace ft::tokenizer
