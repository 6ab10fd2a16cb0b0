#include "core/config/config_file.h"

#include <cstdlib>

#include "core/base/file.h"
#include "core/recipe/yaml_tree.h"

namespace ft::config {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

void ConfigReader::Bind(const std::string& key, std::string* value) {
  keys_[key] = [value](const Json& node) -> std::string {
    if (node.is_number()) {
      *value = node.dump();
      return "";
    }
    if (!node.is_string()) return "a text";
    *value = node.get<std::string>();
    return "";
  };
}

void ConfigReader::Bind(const std::string& key, int64_t* value) {
  keys_[key] = [value](const Json& node) -> std::string {
    if (!node.is_number_integer()) return "a whole number";
    *value = node.get<int64_t>();
    return "";
  };
}

void ConfigReader::Bind(const std::string& key, bool* value) {
  keys_[key] = [value](const Json& node) -> std::string {
    if (!node.is_boolean()) return "true or false";
    *value = node.get<bool>();
    return "";
  };
}

void ConfigReader::Bind(const std::string& key, absl::Duration* value) {
  keys_[key] = [value](const Json& node) -> std::string {
    absl::Duration parsed;
    if (!node.is_string() || !absl::ParseDuration(node.get<std::string>(), &parsed) ||
        parsed <= absl::ZeroDuration()) {
      return "a duration such as 15s or 100ms";
    }
    *value = parsed;
    return "";
  };
}

void ConfigReader::Bind(const std::string& key, std::vector<std::string>* value) {
  keys_[key] = [value](const Json& node) -> std::string {
    if (!node.is_array()) return "a list of texts";
    std::vector<std::string> items;
    for (const Json& item : node) {
      if (!item.is_string()) return "a list of texts";
      items.push_back(item.get<std::string>());
    }
    *value = std::move(items);
    return "";
  };
}

void ConfigReader::Bind(const std::string& key, std::map<std::string, std::string>* value) {
  keys_[key] = [value](const Json& node) -> std::string {
    if (!node.is_object()) return "names with texts";
    std::map<std::string, std::string> items;
    for (const auto& [name, item] : node.items()) {
      if (!item.is_string()) return "names with texts";
      items[name] = item.get<std::string>();
    }
    *value = std::move(items);
    return "";
  };
}

Status ConfigReader::Read(std::string_view yaml, std::string_view file_name) const {
  const recipe::YamlTree tree = recipe::ReadYaml(yaml);
  std::string problems;
  const auto add = [&](int line, std::string_view path, std::string_view text) {
    StrAppend(&problems, problems.empty() ? "" : "\n", file_name, line > 0 ? StrCat(":", line) : "", ": ",
              path, path.empty() ? "" : ": ", text);
  };
  for (const recipe::Problem& problem : tree.problems) add(problem.line, problem.path, problem.message);
  if (problems.empty() && !tree.root.is_null() && !tree.root.is_object())
    add(0, "", "must hold keys and values");
  if (problems.empty() && tree.root.is_object()) {
    for (const auto& [key, node] : tree.root.items()) {
      const auto line = tree.lines.find(key);
      const int at = line == tree.lines.end() ? 0 : line->second;
      const auto it = keys_.find(key);
      if (it == keys_.end()) {
        std::string known;
        for (const auto& [name, take] : keys_) StrAppend(&known, known.empty() ? "" : ", ", name);
        add(at, key, StrCat("unknown key; known are ", known));
        continue;
      }
      if (const std::string wanted = it->second(node); !wanted.empty())
        add(at, key, StrCat("must be ", wanted));
    }
  }
  return problems.empty() ? absl::OkStatus() : absl::InvalidArgumentError(problems);
}

Status ConfigReader::ReadFile(const std::filesystem::path& path) const {
  ASSIGN_OR_RETURN(const std::string text, ft::ReadFile(path, 1 << 20));
  return Read(text, path.string());
}

std::filesystem::path DefaultDataDir(const std::string& name) {
  if (const char* xdg = std::getenv("XDG_DATA_HOME"); xdg != nullptr && *xdg == '/') {
    return std::filesystem::path(xdg) / name;
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home == nullptr ? "/tmp" : home) / ".local" / "share" / name;
}

}  // namespace ft::config
