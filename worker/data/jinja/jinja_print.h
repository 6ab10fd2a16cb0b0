// Values as texts: as {{ }} prints them, as Python's repr() and as json.dumps writes them.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_budget.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

// Python's repr of a float: the shortest digits that read back as the same number.
std::string FloatText(double value);

// str(value). INVALID_ARGUMENT for what Python prints by its address.
StatusOr<std::string> ToText(const Value& value, Budget& budget);

struct JsonStyle {
  std::string indent;  // With `pretty`: of each level.
  bool pretty = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ascii = false;
  bool sort_keys = false;
};
// As Python's json.dumps. INVALID_ARGUMENT for what JSON has no form for.
StatusOr<std::string> ToJsonText(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace ft::data::jinja
