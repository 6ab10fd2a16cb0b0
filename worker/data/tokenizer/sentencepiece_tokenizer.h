// The Tokenizer of a SentencePiece model file (Llama 1 and 2, Mistral, Yi, InternLM, Baichuan, ChatGLM, Gemma).
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "core/base/status.h"
#include "worker/data/tokenizer/sentencepiece_model.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/tokenizer_config.h"

namespace ft::tokenizer {

// Text is cut as SentencePiece cuts it; what lies around is that of the class named in tokenizer_config.json:
//
//   InternLMTokenizer  white space on both sides of a special token goes with it
//   ChatGLMTokenizer   five ids behind the pieces ([MASK], [gMASK], [sMASK], sop, eop) that no text is read as; BOS are
//                      two of them, [gMASK] and sop; ChatGLM3's four roles (<|user|>) follow
//   all others         the unknown and control pieces (<unk>, <s>, </s>) are special tokens, and each text between
//                      special tokens is cut on its own, as LlamaTokenizerFast does
//
// Added tokens of tokenizer_config.json and added_tokens.json come on top. INVALID_ARGUMENT names file and cause.
StatusOr<std::unique_ptr<Tokenizer>> ReadSentencePieceFile(const std::filesystem::path& path,
                                                           std::string_view content,
                                                           const TokenizerConfig& config);

// The same of a model that was read already and passes CheckSentencePiece.
StatusOr<std::unique_ptr<Tokenizer>> MakeSentencePieceTokenizer(const SentencePieceModel& model,
                                                                const TokenizerConfig& config);

}  // namespace ft::tokenizer
