// The files beside a vocabulary: tokenizer_config.json, special_tokens_map.json and chat_template.jinja.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/vocabulary_builder.h"

namespace ft::tokenizer {

struct TokenizerConfig {
  std::string file = "tokenizer_config.json";  // For messages.
  std::optional<std::string> bos_token, eos_token, pad_token, unk_token;
  std::optional<bool> add_bos_token;
  std::optional<bool>
      add_prefix_space;  // Given for vocabularies without a tokenizer.json, which would say it too.
  std::string tokenizer_class;
  std::string chat_template;             // chat_template.jinja where it exists, else the key of that name.
  std::vector<AddedToken> added_tokens;  // The key added_tokens_decoder.
  int64_t rows = kMaxVocabulary;         // Rows of the model's embedding: ids from here on are of no use.
};

// Added tokens of ids that the model has no row for.
struct Beyond {
  std::vector<AddedToken> tokens;
  const AddedToken* Find(std::string_view content) const;
};

// Takes those with ids beyond the model's rows out of `tokens`, unless the vocabulary itself holds them.
Beyond TakeBeyond(const TokenizerConfig& config, const VocabularyBuilder& builder,
                  std::vector<AddedToken>& tokens);

// Files that do not exist leave everything empty.
StatusOr<TokenizerConfig> ReadTokenizerConfig(const std::filesystem::path& folder);

// The ids of the named tokens, which become special. INVALID_ARGUMENT when the vocabulary lacks one, and
// names a token of `beyond` that is bos_token or eos_token or stands in the chat template; a padding or
// unknown token there is none. `vocab_size` is left to the caller.
StatusOr<TokenizerTraits> ResolveTraits(const TokenizerConfig& config, VocabularyBuilder* builder,
                                        const Beyond& beyond = {});

}  // namespace ft::tokenizer
