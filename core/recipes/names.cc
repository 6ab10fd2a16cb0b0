#include "core/recipes/names.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/excerpt.h"
#include "core/recipe/parse.h"
#include "core/recipe/yaml_tree.h"
#include "core/recipes/builtin_files.h"

namespace ft::recipes {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kZeroFolder = "zero/";
constexpr std::string_view kYaml = ".yaml";
constexpr size_t kNearest = 3;
constexpr size_t kMostShown = 100;  // Characters of a name that there is none of.

// REQUIRES: a file of recipes/.
Json TreeOf(std::string_view path) {
  const BuiltinFile* file = FindBuiltin(path);
  FT_CHECK(file != nullptr) << path;
  recipe::YamlTree tree = recipe::ReadYaml(file->text);
  FT_CHECK(tree.problems.empty()) << path << ": " << tree.problems.front().message;
  return std::move(tree.root);
}

void AddTraining(std::vector<Name>& names) {
  const Json tree = TreeOf("names.yaml");
  for (const auto& [method, tasks] : tree.items()) {
    for (const auto& [task, models] : tasks.items()) {
      for (const Json& model : models) {
        const std::string text = model.get<std::string>();
        names.push_back(
            {.name = StrCat(text, "_", method, "_", task), .model = text, .method = method, .task = task});
      }
    }
  }
}

void AddZero(std::vector<Name>& names) {
  for (const BuiltinFile& file : BuiltinFiles()) {
    if (!file.path.starts_with(kZeroFolder)) continue;
    std::string_view name = file.path.substr(kZeroFolder.size());
    name.remove_suffix(kYaml.size());
    names.push_back({.name = std::string(name)});
  }
}

std::vector<Name> ReadNames() {
  std::vector<Name> names;
  AddTraining(names);
  AddZero(names);
  std::sort(names.begin(), names.end(), [](const Name& a, const Name& b) { return a.name < b.name; });
  return names;
}

}  // namespace

const std::vector<Name>& AllNames() {
  static const std::vector<Name> kNames = ReadNames();
  return kNames;
}

const Name* FindName(std::string_view name) {
  const std::vector<Name>& names = AllNames();
  const auto found =
      std::lower_bound(names.begin(), names.end(), name,
                       [](const Name& known, std::string_view wanted) { return known.name < wanted; });
  return found == names.end() || found->name != name ? nullptr : &*found;
}

Status NoSuchRecipe(std::string_view name) {
  std::vector<std::string> known;
  for (const Name& one : AllNames()) known.push_back(one.name);
  const std::vector<std::string> near = recipe::NearestOf(name, known, kNearest);
  return absl::NotFoundError(StrCat("there is no recipe '", Excerpt(name, kMostShown), "'; the nearest are ",
                                    near[0], ", ", near[1], " and ", near[2],
                                    "; `ftctl recipe list` shows all"));
}

}  // namespace ft::recipes
