#include "worker/data/tokenizer/gguf_sentencepiece.h"

#include <optional>
#include <string>

namespace ft::tokenizer {
namespace {

using Kind = SentencePieceModel::Kind;

// The numbers of tokenizer.ggml.token_type are those of SentencePiece. Rows that only fill an embedding up are marked unused:
// no text becomes them.
Kind KindOf(int32_t type) {
  const auto kind = static_cast<Kind>(type);
  return kind == Kind::kUnused ? Kind::kControl : kind;
}

std::optional<std::string> NameOf(const GgufVocabulary& vocabulary, int64_t id) {
  if (id < 0 || id >= static_cast<int64_t>(vocabulary.tokens.size())) return std::nullopt;
  return vocabulary.tokens[static_cast<size_t>(id)];
}

}  // namespace

StatusOr<SentencePieceModel> SentencePieceOf(const GgufVocabulary& vocabulary) {
  const size_t size = vocabulary.tokens.size();
  if (vocabulary.scores.size() != size || vocabulary.token_types.size() != size) {
    return absl::InvalidArgumentError(StrCat(vocabulary.file,
                                             ": tokenizer.ggml.scores and tokenizer.ggml.token_type have ",
                                             vocabulary.scores.size(), " and ", vocabulary.token_types.size(),
                                             " entries for ", size, " tokens; convert the model again"));
  }
  SentencePieceModel model{.file = vocabulary.file,
                           .algorithm = SentencePieceModel::Algorithm::kBpe,
                           .bos_id = static_cast<int32_t>(vocabulary.bos_id),
                           .eos_id = static_cast<int32_t>(vocabulary.eos_id),
                           .pad_id = static_cast<int32_t>(vocabulary.pad_id),
                           .add_dummy_prefix = vocabulary.add_space_prefix,
                           .remove_extra_whitespaces = false};
  for (size_t i = 0; i < size; ++i) {
    const int32_t type = vocabulary.token_types[i];
    if (type < 1 || type > 6) {
      return absl::InvalidArgumentError(StrCat(vocabulary.file, ": tokenizer.ggml.token_type[", i, "] is ",
                                               type, ", which is no kind of token"));
    }
    model.pieces.push_back({vocabulary.tokens[i], vocabulary.scores[i], KindOf(type)});
    model.byte_fallback = model.byte_fallback || KindOf(type) == Kind::kByte;
  }
  RETURN_IF_ERROR(CheckSentencePiece(model));
  return model;
}

TokenizerConfig ConfigOf(const GgufVocabulary& vocabulary) {
  TokenizerConfig config{.file = vocabulary.file};
  config.bos_token = NameOf(vocabulary, vocabulary.bos_id);
  config.eos_token = NameOf(vocabulary, vocabulary.eos_id);
  config.pad_token = NameOf(vocabulary, vocabulary.pad_id);
  config.add_bos_token = vocabulary.add_bos;
  config.tokenizer_class = "LlamaTokenizer";
  config.chat_template = vocabulary.chat_template;
  return config;
}

}  // namespace ft::tokenizer
