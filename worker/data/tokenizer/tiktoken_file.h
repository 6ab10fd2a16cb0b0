// Reader of tiktoken rank files: one line a token, its bytes in base64 and its rank, which is its id.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "core/base/status.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/tokenizer_config.h"

namespace ft::tokenizer {

// True when the content begins like such a file (a SentencePiece model, which may bear the same name, does
// not).
bool LooksLikeTiktoken(std::string_view content);

// The file holds neither the pattern nor the special tokens; both follow from the family, which the name of
// the file (qwen.tiktoken) or the number of ranks (Llama 3: 128,000) tells. Others are refused.
StatusOr<std::unique_ptr<Tokenizer>> ReadTiktokenFile(const std::filesystem::path& path,
                                                      const TokenizerConfig& config);

}  // namespace ft::tokenizer
