#include "worker/data/readers/json_reader.h"

#include <algorithm>
#include <utility>

#include "core/base/excerpt.h"

namespace ft::data {
namespace {

constexpr size_t kMaxFields = 1024;

Status Error(const Origin& origin, std::string_view why) {
  return absl::InvalidArgumentError(StrCat(Describe(origin), ": ", why));
}

}  // namespace

// REQUIRES: ScanObject has accepted the member, so that its depth is bounded and its text is JSON.
StatusOr<Field> JsonReader::ToField(JsonMember member, const Origin& origin) {
  Field field;
  field.name = std::move(member.key);
  field.kind = member.kind;
  switch (member.kind) {
    case FieldKind::kText: field.text = JsonText(member.raw); return field;
    case FieldKind::kNull: return field;
    case FieldKind::kNested: {
      field.nested = nlohmann::ordered_json::parse(member.raw, nullptr, /*allow_exceptions=*/false);
      if (field.nested.is_discarded())
        return Error(origin, StrCat("the value of \"", field.name, "\" cannot be read"));
      simdjson::dom::element element;
      const bool parsed =
          parser_.parse(member.raw.data(), member.raw.size()).get(element) == simdjson::SUCCESS;
      // Numbers beyond 64 bits are JSON and more than simdjson holds.
      field.text = parsed ? simdjson::minify(element) : std::string(member.raw);
      return field;
    }
    default: field.text = std::string(member.raw); return field;
  }
}

Status JsonReader::Broken(const JsonValue& value, const JsonFault& fault) const {
  const std::string_view before = value.text.substr(0, fault.offset);
  const size_t line_begin = before.rfind('\n');
  const std::string_view on_line =
      line_begin == std::string_view::npos ? before : before.substr(line_begin + 1);
  const int64_t characters = std::count_if(
      on_line.begin(), on_line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  const int64_t column = characters + (line_begin == std::string_view::npos ? value.column : 1);
  const int64_t line = value.line + std::count(before.begin(), before.end(), '\n');
  return absl::InvalidArgumentError(StrCat(file_, " line ", line, ", column ", column,
                                           ": broken JSON: ", fault.why,
                                           " (at: ", ExcerptAround(value.text, fault.offset), ")"));
}

StatusOr<std::optional<Record>> JsonReader::Next() {
  ASSIGN_OR_RETURN(const std::optional<JsonValue> value, values_.Next());
  if (!value) return std::optional<Record>();
  Record record;
  record.origin = {.file = file_, .row = value->line, .index = value->index};
  std::vector<JsonMember> members;
  if (const auto fault = ScanObject(value->text, &members)) return Broken(*value, *fault);
  if (members.size() > kMaxFields) return Error(record.origin, "this record has more than 1,024 keys");
  for (JsonMember& member : members) {
    ASSIGN_OR_RETURN(Field field, ToField(std::move(member), record.origin));
    record.fields.push_back(std::move(field));
  }
  return std::optional<Record>(std::move(record));
}

std::vector<std::string> JsonReader::notes() const {
  const std::string note = values_.note();
  return note.empty() ? std::vector<std::string>() : std::vector<std::string>{note};
}

}  // namespace ft::data
