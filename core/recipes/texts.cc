#include "core/recipes/texts.h"

#include <set>

#include "core/recipe/parse.h"
#include "core/recipe/yaml_tree.h"
#include "core/recipes/builtin_files.h"
#include "nlohmann/json.hpp"

namespace ft::recipes {

StatusOr<std::string> SystemText(std::string_view name) {
  static const nlohmann::ordered_json kTexts = recipe::ReadYaml(FindBuiltin("texts.yaml")->text).root;
  if (const auto found = kTexts.find(name); found != kTexts.end()) return found->get<std::string>();
  std::set<std::string> known;
  for (const auto& [text, unused] : kTexts.items()) known.insert(text);
  const std::string near = recipe::Nearest(std::string(name), known);
  return absl::NotFoundError(StrCat("there is no text called '", name, "'",
                                    near.empty() ? "" : StrCat(", did you mean '", near, "'?")));
}

}  // namespace ft::recipes
