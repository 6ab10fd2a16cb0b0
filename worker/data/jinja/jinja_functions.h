// The functions that every template may call, as Hugging Face gives them.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_arguments.h"
#include "worker/data/jinja/jinja_budget.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

// range dict namespace raise_exception strftime_now
bool IsFunction(std::string_view name);
// `now`: what strftime_now() formats. INVALID_ARGUMENT without the line. REQUIRES: IsFunction(name).
StatusOr<Value> CallFunction(std::string_view name, const Arguments& arguments,
                             const std::optional<std::tm>& now, Budget& budget);

}  // namespace ft::data::jinja
