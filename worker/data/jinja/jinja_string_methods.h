// The methods of strings, behind CallMethod.
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_arguments.h"
#include "worker/data/jinja/jinja_budget.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

bool IsStringMethod(std::string_view name);
// REQUIRES: object is a string, and IsStringMethod(name).
StatusOr<Value> CallStringMethod(const Value& object, std::string_view name, const Arguments& arguments,
                                 Budget& budget);

}  // namespace ft::data::jinja
