#include "worker/data/json_reader.h"

#include <utility>

namespace ft::data {
namespace {

constexpr size_t kMaxFields = 1024;

Status Error(const Origin& origin, std::string_view why) {
  return absl::InvalidArgumentError(StrCat(Describe(origin), ": ", why));
}

}  // namespace

nlohmann::json ParseJson(std::string_view text) {
  bool too_deep = false;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    too_deep = too_deep || depth > kMaxJsonDepth;
    return !too_deep;
  };
  nlohmann::json parsed = nlohmann::json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  return too_deep ? nlohmann::json(nlohmann::json::value_t::discarded) : parsed;
}

StatusOr<Field> JsonReader::ToField(std::string_view name, const simdjson::dom::element& value,
                                    const Origin& origin) const {
  Field field;
  field.name = std::string(name);
  switch (value.type()) {
    case simdjson::dom::element_type::STRING: {
      std::string_view text;
      if (value.get(text) != simdjson::SUCCESS) return Error(origin, "a string cannot be read");
      field.text = std::string(text);
      return field;
    }
    case simdjson::dom::element_type::NULL_VALUE:
      field.kind = FieldKind::kNull;
      return field;
    case simdjson::dom::element_type::ARRAY:
    case simdjson::dom::element_type::OBJECT:
      field.kind = FieldKind::kNested;
      field.text = simdjson::minify(value);
      field.nested = ParseJson(field.text);
      if (field.nested.is_discarded())
        return Error(origin, StrCat("the value of \"", name, "\" cannot be read"));
      return field;
    case simdjson::dom::element_type::BOOL:
      field.kind = FieldKind::kBool;
      break;
    default:
      field.kind = FieldKind::kNumber;
      break;
  }
  field.text = simdjson::minify(value);
  return field;
}

StatusOr<std::optional<Record>> JsonReader::Next() {
  ASSIGN_OR_RETURN(const std::optional<JsonValue> value, values_.Next());
  if (!value) return std::optional<Record>();
  Record record;
  record.origin = {.file = file_, .row = value->line, .index = value->index};
  simdjson::dom::object object;
  if (const auto error = parser_.parse(value->text.data(), value->text.size()).get(object)) {
    return Error(record.origin, StrCat("broken JSON: ", simdjson::error_message(error)));
  }
  for (const auto pair : object) {
    if (record.Find(pair.key) != nullptr) {
      return Error(record.origin, StrCat("key \"", pair.key, "\" stands twice; keep one"));
    }
    if (record.fields.size() == kMaxFields)
      return Error(record.origin, "this record has more than 1,024 keys");
    ASSIGN_OR_RETURN(Field field, ToField(pair.key, pair.value, record.origin));
    record.fields.push_back(std::move(field));
  }
  return std::optional<Record>(std::move(record));
}

std::vector<std::string> JsonReader::notes() const {
  const std::string note = values_.note();
  return note.empty() ? std::vector<std::string>() : std::vector<std::string>{note};
}

}  // namespace ft::data
