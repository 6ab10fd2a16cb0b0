// A tree of settings as YAML text that people read and edit, and that ReadYaml reads back as the same tree.
#pragma once

#include <string>

#include "nlohmann/json.hpp"

namespace ft::recipe {

// Mappings and lists of mappings in blocks, other lists in one line. Texts are quoted where they could be taken for something
// else, by this program or by another reader of YAML.
std::string ToYaml(const nlohmann::ordered_json& tree);

// One value in one line.
std::string ToYamlScalar(const nlohmann::ordered_json& value);

}  // namespace ft::recipe
