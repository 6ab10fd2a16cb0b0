// Jinja source cut into text and tokens, with white space control as Hugging Face sets it (trim_blocks,
// lstrip_blocks).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace ft::data::jinja {

struct Token {
  enum class Kind {
    kText,
    kOutputBegin,
    kOutputEnd,
    kTagBegin,
    kTagEnd,
    kName,
    kString,
    kInteger,
    kOperator,
    kEnd
  };
  Kind kind = Kind::kEnd;
  std::string text;  // The value, for a string literal.
  int64_t integer = 0;
  int line = 1;
};

// The last token is kEnd. INVALID_ARGUMENT names the line. REQUIRES: source is UTF-8.
StatusOr<std::vector<Token>> Tokenize(std::string_view source);

// "line N: what", for all messages about templates.
Status TemplateError(int line, std::string_view what);

}  // namespace ft::data::jinja
