// Looks through a parsed template.
#pragma once

#include <string_view>

#include "worker/data/jinja/jinja_ast.h"

namespace ft::data::jinja {

// Whether a {% generation %} block stands somewhere.
bool HoldsGeneration(const Body& body);
// Whether an expression asks for this name, attribute, or key that is written out.
bool Mentions(const Body& body, std::string_view name);

}  // namespace ft::data::jinja
