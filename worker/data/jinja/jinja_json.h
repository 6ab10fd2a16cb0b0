// JSON as values of a template.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

// Keys keep their order. INVALID_ARGUMENT for what nests too deep, for integers beyond 64 bits and for text that is not
// UTF-8.
StatusOr<Value> FromJson(const nlohmann::ordered_json& json);

}  // namespace ft::data::jinja
