#include "worker/data/jinja/jinja_json.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "worker/data/tokenizer/utf8.h"

namespace ft::data::jinja {
namespace {

StatusOr<Value> FromText(const std::string& text) {
  if (tokenizer::FirstInvalidUtf8(text)) return absl::InvalidArgumentError("a text is not UTF-8");
  return Value::String(text);
}

StatusOr<Value> FromLevel(const nlohmann::ordered_json& json, int level) {
  if (level > kMaxValueDepth)
    return absl::InvalidArgumentError(StrCat("nested deeper than ", kMaxValueDepth, " levels"));
  if (json.is_boolean()) return Value::Bool(json.get<bool>());
  if (json.is_string()) return FromText(json.get_ref<const std::string&>());
  if (json.is_number_float()) return Value::Float(json.get<double>());
  if (json.is_number_unsigned() &&
      json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return absl::InvalidArgumentError(StrCat("the integer ", json.get<uint64_t>(), " has more than 64 bits"));
  if (json.is_number()) return Value::Int(json.get<int64_t>());
  if (json.is_array()) {
    List items;
    for (const auto& item : json) {
      ASSIGN_OR_RETURN(Value value, FromLevel(item, level + 1));
      items.push_back(std::move(value));
    }
    return Value::FromList(std::move(items));
  }
  if (!json.is_object()) return Value::None();
  Dict entries;
  for (const auto& [key, item] : json.items()) {
    ASSIGN_OR_RETURN(const Value name, FromText(key));
    ASSIGN_OR_RETURN(Value value, FromLevel(item, level + 1));
    entries.entries.emplace_back(name.string(), std::move(value));
  }
  return Value::FromDict(std::move(entries));
}

}  // namespace

StatusOr<Value> FromJson(const nlohmann::ordered_json& json) { return FromLevel(json, 1); }

}  // namespace ft::data::jinja
