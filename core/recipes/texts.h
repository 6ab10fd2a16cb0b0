// The system texts of recipes/texts.yaml, by name.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"

namespace ft::recipes {

// As it is written there, {bot_name} included. NOT_FOUND names the text that differs least.
StatusOr<std::string> SystemText(std::string_view name);

}  // namespace ft::recipes
