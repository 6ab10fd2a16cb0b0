// The files that a recipe is made of, from the one that everything starts from to the job file itself, each checked alone so that
// what is wrong is named by its own file and line.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/recipes/resolve.h"
#include "nlohmann/json.hpp"

namespace ft::recipes {

// In front of a path below recipes/, where a file of ours is meant.
inline constexpr std::string_view kBuiltin = "builtin://";

// Keys that recipe files have beside those of the job file.
const std::set<std::string>& RecipeKeys();

// The differences merged in their order: mappings key by key, anything else replaces; null takes the place of a mapping. `data`
// and `sources` replace each other. Paths are absolute where a file stands in a folder, and builtin:// in ours.
StatusOr<nlohmann::ordered_json> MergedLayers(const JobText& job, const FileReader& read);

// INVALID_ARGUMENT when --set has given a recipe's own keys what they do not take.
Status CheckOverridden(const nlohmann::ordered_json& tree, const std::string& file_name);

// MergedLayers for one file of recipes/.
StatusOr<nlohmann::ordered_json> MergedBuiltin(const std::string& path);

}  // namespace ft::recipes
