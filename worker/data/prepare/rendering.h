// Which template a source's conversations are written with.
#pragma once

#include <string>

#include "worker/data/prepare/text_source.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::prepare {

// `template_name`: "model" = the tokenizer's own, otherwise a named one. `mode_name`: "whole" or "pieces".
// The tokenizer has to outlive the result. INVALID_ARGUMENT when there is no such template, or the model has
// none of its own.
StatusOr<Render> OpenRender(const tokenizer::Tokenizer& tokenizer, const std::string& template_name,
                            const std::string& mode_name);

}  // namespace ft::prepare
