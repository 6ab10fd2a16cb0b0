// Values as Python writes them into source text, which some data sets hold in place of JSON: ['a', {'b': None}].
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace ft::data {

// What a Python literal stands for: texts (also several side by side), numbers, True, False, None, lists, tuples (as lists) and
// dictionaries with texts as keys, at most kMaxLiteralDepth deep. Nothing is evaluated: names, calls and operators are
// refused. Of a key that stands twice the last value counts, as in Python. INVALID_ARGUMENT says what is wrong and
// after how many bytes.
StatusOr<nlohmann::ordered_json> ParsePythonLiteral(std::string_view text);

inline constexpr int kMaxLiteralDepth = 64;

// Python's str(): a text as it is, anything else as repr() writes it, so that texts inside stand in quotes. INVALID_ARGUMENT
// for what nests deeper than 64 levels and for integers beyond 64 bits.
StatusOr<std::string> PythonText(const nlohmann::ordered_json& value);

}  // namespace ft::data
