// The SentencePiece model that a GGUF file carries in its metadata (tokenizer.ggml.model "llama").
#pragma once

#include "core/base/status.h"
#include "worker/data/tokenizer/gguf_vocabulary.h"
#include "worker/data/tokenizer/sentencepiece_model.h"
#include "worker/data/tokenizer/tokenizer_config.h"

namespace ft::tokenizer {

// Tokens, scores and types are the model's pieces; llama.cpp cuts by scores, as BPE does. INVALID_ARGUMENT names file and key.
StatusOr<SentencePieceModel> SentencePieceOf(const GgufVocabulary& vocabulary);
// What lies beside a vocabulary in a folder, of a GGUF file's keys.
TokenizerConfig ConfigOf(const GgufVocabulary& vocabulary);

}  // namespace ft::tokenizer
