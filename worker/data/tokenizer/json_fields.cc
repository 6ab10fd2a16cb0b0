#include "worker/data/tokenizer/json_fields.h"

#include <utility>

#include "core/base/file.h"

namespace ft::tokenizer {

using nlohmann::json;

std::string JsonObject::Path(std::string_view name) const {
  return key.empty() ? std::string(name) : StrCat(key, ".", name);
}

Status JsonObject::Fail(std::string_view name, std::string_view what) const {
  return absl::InvalidArgumentError(StrCat(file, ": ", Path(name), " ", what));
}

const json* JsonObject::Find(const char* name) const {
  const auto found = value->find(name);
  return found == value->end() || found->is_null() ? nullptr : &*found;
}

StatusOr<std::optional<std::string>> JsonObject::String(const char* name) const {
  const json* field = Find(name);
  if (field == nullptr) return std::optional<std::string>();
  if (!field->is_string()) return Fail(name, "is not a string");
  return std::optional<std::string>(field->get_ref<const std::string&>());
}

StatusOr<std::optional<bool>> JsonObject::Bool(const char* name) const {
  const json* field = Find(name);
  if (field == nullptr) return std::optional<bool>();
  if (!field->is_boolean()) return Fail(name, "is neither true nor false");
  return std::optional<bool>(field->get<bool>());
}

StatusOr<std::optional<int64_t>> JsonObject::Integer(const char* name) const {
  const json* field = Find(name);
  if (field == nullptr) return std::optional<int64_t>();
  if (!field->is_number_integer()) return Fail(name, "is not an integer");
  return std::optional<int64_t>(field->get<int64_t>());
}

StatusOr<std::optional<JsonObject>> JsonObject::Object(const char* name) const {
  const json* field = Find(name);
  if (field == nullptr) return std::optional<JsonObject>();
  if (!field->is_object()) return Fail(name, "is not an object");
  return std::optional<JsonObject>(JsonObject{field, file, Path(name)});
}

StatusOr<const json*> JsonObject::Array(const char* name) const {
  const json* field = Find(name);
  if (field != nullptr && !field->is_array()) return Fail(name, "is not a list");
  return field;
}

StatusOr<json> ReadJsonObject(const std::filesystem::path& path, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, max_bytes));
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) {
    return absl::InvalidArgumentError(
        StrCat(path.string(), " is not valid JSON (cut short or damaged); copy or download it again"));
  }
  if (!parsed.is_object())
    return absl::InvalidArgumentError(StrCat(path.string(), " does not hold a JSON object"));
  return parsed;
}

StatusOr<AddedToken> ReadAddedToken(const JsonObject& object, int32_t id) {
  AddedToken token{.id = id};
  ASSIGN_OR_RETURN(const std::optional<std::string> content, object.String("content"));
  if (!content) return object.Fail("content", "is missing");
  token.content = *content;
  const std::pair<const char*, bool*> flags[] = {{"special", &token.special},
                                                 {"single_word", &token.single_word},
                                                 {"lstrip", &token.lstrip},
                                                 {"rstrip", &token.rstrip},
                                                 {"normalized", &token.normalized}};
  for (const auto& [key, flag] : flags) {
    ASSIGN_OR_RETURN(const std::optional<bool> value, object.Bool(key));
    *flag = value.value_or(false);
  }
  return token;
}

}  // namespace ft::tokenizer
