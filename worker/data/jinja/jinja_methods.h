// Methods of strings, lists, dictionaries and loops, as Python has them. Those that change their object are not there:
// templates run in Jinja's immutable sandbox.
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_arguments.h"
#include "worker/data/jinja/jinja_budget.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

bool HasMethod(const Value& object, std::string_view name);
// REQUIRES: HasMethod(object, name). Errors say what is wrong without the line.
StatusOr<Value> CallMethod(const Value& object, std::string_view name, const Arguments& arguments,
                           Budget& budget);

// str.replace; `limit` < 0 = all.
StatusOr<std::string> ReplaceText(std::string_view text, std::string_view from, std::string_view to,
                                  int64_t limit, Budget& budget);

}  // namespace ft::data::jinja
