#include "core/recipe/yaml_text.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/str_cat.h"

namespace ft::recipe {
namespace {

using Json = nlohmann::ordered_json;

// Words that readers of YAML 1.1 take for something else than text.
constexpr std::array<std::string_view, 9> kOtherWords = {"true", "false", "null", "yes", "no",
                                                         "on",   "off",   "y",    "n"};

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Letters in front, so that it is no number, and nothing behind that YAML gives a meaning.
bool IsPlain(const std::string& text) {
  if (text.empty() || !IsLetter(text.front())) return false;
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (std::find(kOtherWords.begin(), kOtherWords.end(), lower) != kOtherWords.end()) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return IsLetter(c) || (c >= '0' && c <= '9') ||
           std::string_view("_./@-").find(c) != std::string_view::npos;
  });
}

std::string Dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

// YAML 1.1 knows exponents only behind a decimal point.
std::string Number(const Json& value) {
  std::string text = Dump(value);
  const size_t exponent = text.find('e');
  if (exponent != std::string::npos && text.find('.') == std::string::npos) text.insert(exponent, ".0");
  return text;
}

bool IsBlock(const Json& value) {
  if (value.is_object()) return !value.empty();
  return value.is_array() &&
         std::any_of(value.begin(), value.end(), [](const Json& item) { return item.is_object(); });
}

void Append(const Json& tree, int indent, std::string& out);

// "key:" and its value, which for a block begins on the next line.
void AppendEntry(const std::string& key, const Json& value, int indent, std::string& out) {
  StrAppend(&out, key, ":");
  if (!IsBlock(value)) {
    StrAppend(&out, " ", ToYamlScalar(value), "\n");
    return;
  }
  out += '\n';
  Append(value, indent + 2, out);
}

void Append(const Json& tree, int indent, std::string& out) {
  const std::string margin(static_cast<size_t>(indent), ' ');
  if (tree.is_object()) {
    for (const auto& [key, value] : tree.items()) {
      out += margin;
      AppendEntry(ToYamlScalar(key), value, indent, out);
    }
    return;
  }
  for (const Json& item : tree) {
    std::string lines;
    if (IsBlock(item)) {
      Append(item, indent + 2, lines);
      lines[static_cast<size_t>(indent)] = '-';
    } else {
      lines = StrCat(margin, "- ", ToYamlScalar(item), "\n");
    }
    out += lines;
  }
}

}  // namespace

std::string ToYamlScalar(const Json& value) {
  if (value.is_string() && IsPlain(value.get_ref<const std::string&>())) return value.get<std::string>();
  if (value.is_number_float()) return Number(value);
  if (!value.is_array()) return Dump(value);
  std::string items;
  for (const Json& item : value) StrAppend(&items, items.empty() ? "" : ", ", ToYamlScalar(item));
  return StrCat("[", items, "]");
}

std::string ToYaml(const Json& tree) {
  std::string out;
  if (!IsBlock(tree)) return ToYamlScalar(tree) + "\n";
  Append(tree, 0, out);
  return out;
}

}  // namespace ft::recipe
