// The Tokenizer of all byte-level vocabularies, put together by the readers of the file formats.
#pragma once

#include <memory>

#include "worker/data/tokenizer/added_tokens.h"
#include "worker/data/tokenizer/bpe.h"
#include "worker/data/tokenizer/normalize.h"
#include "worker/data/tokenizer/pre_tokenizer.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::tokenizer {

// What a byte-level vocabulary file says. Added tokens have their ids and bytes in `model` too.
struct BpeParts {
  BpeModel model;
  PreTokenizer pre_tokenizer;
  AddedTokens added;
  Normalization normalization = Normalization::kNone;
  bool normalize_whole =
      false;  // Before added tokens are looked for (tiktoken); else the text between them (Hugging Face).
  bool add_prefix_space = false;  // A space in front of each piece of text that does not begin with one.
};

// Text is processed in this order: added tokens, normalisation, normalised added tokens, words, byte-pair
// encoding.
std::unique_ptr<Tokenizer> MakeBpeTokenizer(BpeParts parts, TokenizerTraits traits);

}  // namespace ft::tokenizer
