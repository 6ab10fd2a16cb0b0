// Which template a source's conversations are written with.
#pragma once

#include <cstdint>
#include <string>

#include "worker/data/prepare/text_source.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::prepare {

struct RenderOptions {
  std::string template_name;  // "model" = the tokenizer's own, otherwise a named one.
  std::string mode_name;      // "whole" or "pieces".
  int64_t date = 0;           // As in data::ChatTemplateOptions.
};

// The tokenizer has to outlive the result. INVALID_ARGUMENT when there is no such template, or the model has
// none of its own.
StatusOr<Render> OpenRender(const tokenizer::Tokenizer& tokenizer, const RenderOptions& options);

}  // namespace ft::prepare
