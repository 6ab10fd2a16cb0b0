// What tokenizer.json says about the way of a text to the model and back: its keys normalizer, pre_tokenizer,
// post_processor and decoder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/tokenizer/json_fields.h"
#include "worker/data/tokenizer/text_tokenizer.h"

namespace ft::tokenizer {

struct TextSteps {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  PieceMark mark;
  bool byte_level = false;            // Tokens are written in the alphabet of byte_level.h.
  Decoder decoder;                    // Without `bytes`, which are the vocabulary's.
  bool decodes_bytes = false;         // Tokens like <0x0A> become bytes.
  std::vector<std::string> in_front;  // The tokens that stand before a text, by content.
};

// INVALID_ARGUMENT names key and component. Supported:
//   normalizer      NFC, NFD, NFKC, NFKD, Prepend, Replace, and Sequence of them
//   pre_tokenizer   Split, Digits, then ByteLevel or nothing; Metaspace alone or first
//   post_processor  TemplateProcessing (of it what stands before the text), ByteLevel
//   decoder         ByteLevel; Replace of U+2581, ByteFallback, Fuse and Strip of a space in front; Metaspace
StatusOr<TextSteps> ReadTextSteps(const JsonObject& root);

// The `type` of a component.
StatusOr<std::string> TypeOf(const JsonObject& object);
Status Unsupported(const JsonObject& object, std::string_view type);

}  // namespace ft::tokenizer
