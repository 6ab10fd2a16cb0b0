// The names that can be given where a recipe is asked for: training recipes, and ZeRO settings for --deepspeed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace ft::recipes {

struct Name {
  std::string name;
  std::string model;  // These three are empty for a ZeRO setting.
  std::string method;
  std::string task;
  bool is_training() const { return !task.empty(); }
};

// All, sorted.
const std::vector<Name>& AllNames();

// Null where there is none.
const Name* FindName(std::string_view name);

// NOT_FOUND with the three names that differ least.
Status NoSuchRecipe(std::string_view name);

}  // namespace ft::recipes
