// What preparation needs to know of a model, read from its files without its weights. A model is a folder in
// Hugging Face layout or a .gguf file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "core/base/status.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::prepare {

// The number of ids the model has rows for: `vocab_size` of config.json, or the rows of a .gguf file's
// embedding. INVALID_ARGUMENT names the file and the key, UNIMPLEMENTED weights that are quantised in a way
// not read.
StatusOr<int64_t> VocabSizeOf(const std::filesystem::path& model);

// How many positions the model was made for, as its config.json (`max_position_embeddings` or what its family calls it) or a .gguf
// file's context length says.
struct Context {
  int64_t positions = 0;  // 0 = its files do not say.
  bool table = false;     // It has a table of them: there are no others.
};
StatusOr<Context> ContextOf(const std::filesystem::path& model);

// The model's tokenizer. INVALID_ARGUMENT when ids that the model has no rows for could come out of a text:
// it belongs to another model. Tokens that were merely added ("[PAD]") do no harm: see OpenTokenizer.
// `eos_token` takes the place of the one that the model's files name; empty = theirs.
StatusOr<std::unique_ptr<tokenizer::Tokenizer>> OpenModelTokenizer(const std::filesystem::path& model,
                                                                   const std::string& eos_token = "");

// A .gguf file's tokenizer as tokenizer.json and tokenizer_config.json in `dir`.
Status WriteTokenizerFiles(const std::filesystem::path& gguf, const std::filesystem::path& dir);

}  // namespace ft::prepare
