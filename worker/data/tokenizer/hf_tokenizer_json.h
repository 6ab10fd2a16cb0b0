// Reader of Hugging Face's tokenizer.json (github.com/huggingface/tokenizers).
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/status.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/tokenizer_config.h"

namespace ft::tokenizer {

// What is supported: hf_model.h, hf_text_steps.h. Everything else is refused with file, key and the component's name.
StatusOr<std::unique_ptr<Tokenizer>> ReadTokenizerJson(const std::filesystem::path& path,
                                                       const TokenizerConfig& config);

// The same of the file's content. `file` is named in errors.
StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(const nlohmann::json& tokenizer, const std::string& file,
                                                   const TokenizerConfig& config);

}  // namespace ft::tokenizer
