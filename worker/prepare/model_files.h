// What preparation needs to know of a model, read from its files without its weights. A model is a folder in
// Hugging Face layout or a .gguf file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "core/base/status.h"
#include "worker/tokenizer/tokenizer.h"

namespace ft::prepare {

// The number of ids the model has rows for: `vocab_size` of config.json, or the rows of a .gguf file's
// embedding. INVALID_ARGUMENT names the file and the key.
StatusOr<int64_t> VocabSizeOf(const std::filesystem::path& model);

// The model's tokenizer. INVALID_ARGUMENT when it has ids that the model has no rows for: it belongs to
// another model.
StatusOr<std::unique_ptr<tokenizer::Tokenizer>> OpenModelTokenizer(const std::filesystem::path& model);

// A .gguf file's tokenizer as tokenizer.json and tokenizer_config.json in `dir`.
Status WriteTokenizerFiles(const std::filesystem::path& gguf, const std::filesystem::path& dir);

}  // namespace ft::prepare
