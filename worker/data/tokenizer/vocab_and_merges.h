// Reader of vocab.json with merges.txt, the files of byte-level BPE tokenizers before tokenizer.json. They do
// not say how text is cut into words; the class of the tokenizer does.
#pragma once

#include <filesystem>
#include <memory>

#include "core/base/status.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/tokenizer_config.h"

namespace ft::tokenizer {

// Classes whose words are known: GPT2Tokenizer and Qwen2Tokenizer, also with "Fast". INVALID_ARGUMENT for
// another class names it and says how to make tokenizer.json; otherwise as ReadTokenizerJson.
StatusOr<std::unique_ptr<Tokenizer>> ReadVocabAndMerges(const std::filesystem::path& folder,
                                                        const TokenizerConfig& config);

}  // namespace ft::tokenizer
