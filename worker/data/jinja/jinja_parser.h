// Jinja source to statements. What a chat template may not use (includes, imports, inheritance, ...) is
// refused here by the name of the construct and its line.
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_ast.h"

namespace ft::data::jinja {

inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;
inline constexpr int kMaxExpressionDepth = 200;
inline constexpr int kMaxBlockDepth = 50;

// INVALID_ARGUMENT: "line N: what".
StatusOr<Body> ParseTemplate(std::string_view source);

}  // namespace ft::data::jinja
