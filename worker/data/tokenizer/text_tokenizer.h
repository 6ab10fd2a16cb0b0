// The Tokenizer of all vocabularies, put together by the readers of the file formats.
//
// Text is processed in this order: added tokens, normalisation, normalised added tokens, the mark in front of a piece,
// words, the model. Ids become text by the decoder's rules.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/data/tokenizer/added_tokens.h"
#include "worker/data/tokenizer/normalize.h"
#include "worker/data/tokenizer/pre_tokenizer.h"
#include "worker/data/tokenizer/subword_model.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::tokenizer {

// What is put in front of a piece of text between added tokens, unless it begins so already.
struct PieceMark {
  std::string text;  // " " or U+2581; empty = nothing is done.
  bool prepends = true;
  bool first_only = false;    // Only in front of a piece at the very beginning of the text.
  bool marks_spaces = false;  // Metaspace: every space of the piece becomes `text` too.
};

// How ids become text.
struct Decoder {
  bool space_marks = false;         // U+2581 becomes a space.
  bool strips_first_space = false;  // A space in front of the first token was put there and is taken away.
  std::vector<int16_t> bytes;       // By id: the byte that the token stands for, -1 = none. May be shorter.
};

// What a vocabulary file says. Added tokens have their ids and bytes in `model` too.
struct TokenizerParts {
  std::unique_ptr<SubwordModel> model;
  PreTokenizer pre_tokenizer;
  AddedTokens added;
  Normalizer normalizer;
  bool normalize_whole =
      false;  // Before added tokens are looked for (tiktoken); else the text between them (Hugging Face).
  PieceMark mark;
  Decoder decoder;
};

std::unique_ptr<Tokenizer> MakeTextTokenizer(TokenizerParts parts, TokenizerTraits traits);

}  // namespace ft::tokenizer
