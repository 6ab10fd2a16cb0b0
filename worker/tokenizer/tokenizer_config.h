// The files beside a vocabulary: tokenizer_config.json, special_tokens_map.json and chat_template.jinja.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/tokenizer/tokenizer.h"
#include "worker/tokenizer/vocabulary_builder.h"

namespace ft::tokenizer {

struct TokenizerConfig {
  std::string file = "tokenizer_config.json";  // For messages.
  std::optional<std::string> bos_token, eos_token, pad_token, unk_token;
  std::optional<bool> add_bos_token;
  std::string tokenizer_class;
  std::string chat_template;             // chat_template.jinja where it exists, else the key of that name.
  std::vector<AddedToken> added_tokens;  // The key added_tokens_decoder.
};

// Files that do not exist leave everything empty.
StatusOr<TokenizerConfig> ReadTokenizerConfig(const std::filesystem::path& folder);

// The ids of the named tokens, which become special. INVALID_ARGUMENT when the vocabulary lacks one.
// `vocab_size` is left to the caller.
StatusOr<TokenizerTraits> ResolveTraits(const TokenizerConfig& config, VocabularyBuilder* builder);

}  // namespace ft::tokenizer
