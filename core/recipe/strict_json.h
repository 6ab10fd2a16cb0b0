// JSON that a person wrote, read strictly: what is wrong with it is a sentence with its line. At most 64 KiB and 64 levels, and no key
// twice in one place, which nlohmann's parser accepts silently.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "nlohmann/json.hpp"

namespace ft::recipe {

// INVALID_ARGUMENT, beginning with `file`.
StatusOr<nlohmann::ordered_json> ReadStrictJson(std::string_view text, const std::string& file);

}  // namespace ft::recipe
