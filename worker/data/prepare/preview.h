// A tokenised sample as a person reads it: its text with the tokens that carry loss marked, special tokens
// spelled out. Control characters of the text are shown as U+XXXX, so that data cannot drive the terminal.
#pragma once

#include <cstdint>
#include <string>

#include "worker/data/cache/token_cache.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::prepare {

struct PreviewOptions {
  bool ansi = false;         // Mark by bold and underline instead of ⟦ and ⟧.
  int64_t max_tokens = 512;  // The middle of a longer sample is left out and counted.
};

// Several lines, without a line break at the end. The first token is never marked: nothing predicts it.
std::string RenderSample(const tokenizer::Tokenizer& tokenizer, const data::TokenSample& sample,
                         const PreviewOptions& options);

}  // namespace ft::prepare
