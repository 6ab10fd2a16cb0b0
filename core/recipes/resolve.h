// A job file that starts from a recipe, made whole: `recipe: NAME` or `recipe: PATH` and the differences from it. Recipe files have
// the keys of the job file and these: sources, template, bot_name, sequences_per_step, config, obtain (docs/recipes.md).
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/yaml_tree.h"
#include "nlohmann/json.hpp"

namespace ft::recipes {

// A file that names a recipe, as it was read.
struct JobText {
  std::string yaml;
  std::string file_name;         // For messages.
  std::filesystem::path folder;  // Where relative paths of recipes start.
  bool has_lines = true;         // False for a text that no person wrote.
};

// Reads recipe files that are paths. A caller without files refuses.
using FileReader = std::function<StatusOr<std::string>(const std::filesystem::path& path)>;

struct Resolved {
  nlohmann::ordered_json job;  // Keys of the job file only; `recipe` is gone, and so are keys that are null.
  std::string model_config;    // config.json of the recipe's model; empty when it brings none.
  std::vector<std::string> remarks;  // What is otherwise than the recipe says, a sentence each.
};

// Whether the file starts from a recipe.
bool StartsFromRecipe(const recipe::YamlTree& tree);

// Resolves it and applies `sets` (KEY=VALUE). INVALID_ARGUMENT and NOT_FOUND name file, line and key. Values are not checked
// together: recipe::ParseJob does that.
StatusOr<Resolved> Resolve(const JobText& job, const std::vector<std::string>& sets, const FileReader& read);

// Where a source of ours that is a file can be had; empty for any other.
std::string WhereToObtain(std::string_view source);

}  // namespace ft::recipes
