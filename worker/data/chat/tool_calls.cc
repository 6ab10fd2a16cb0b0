#include "worker/data/chat/tool_calls.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "worker/data/readers/columns.h"

namespace ft::data {
namespace {

using nlohmann::ordered_json;

std::string TextAt(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

ordered_json Parsed(std::string_view text) {
  return ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// {"name": ..., "arguments": ...}, or nothing.
StatusOr<ToolCall> ReadCall(const ordered_json& item, std::string_view key) {
  const Status no_call = absl::InvalidArgumentError(StrCat(
      "\"", key,
      "\" with an entry that is no call like {\"function\": {\"name\": ..., \"arguments\": {...}}}; give "
      "every call a name and arguments"));
  if (!item.is_object()) return no_call;
  const auto inner = item.find("function");
  const ordered_json& function = inner != item.end() && inner->is_object() ? *inner : item;
  ToolCall call{
      .id = TextAt(item, "id"), .name = TextAt(function, "name"), .arguments = ordered_json::object()};
  if (call.name.empty()) return no_call;
  const auto arguments = function.find("arguments");
  if (arguments == function.end() || arguments->is_null()) return call;
  call.arguments = *arguments;
  if (!arguments->is_string()) return call;
  const std::string text = arguments->get<std::string>();
  call.arguments = Trimmed(text).empty() ? ordered_json::object() : Parsed(text);
  if (!call.arguments.is_discarded()) return call;
  return absl::InvalidArgumentError(
      StrCat("a call of \"", call.name,
             "\" whose arguments are no JSON; write them as an object like {\"city\": ...}"));
}

// A function with {"type": "function"} around it; nothing for what is no function.
std::optional<ordered_json> ToolOf(const ordered_json& item) {
  if (!item.is_object()) return std::nullopt;
  const auto function = item.find("function");
  if (function != item.end() && function->is_object() && !TextAt(*function, "name").empty()) return item;
  if (TextAt(item, "name").empty()) return std::nullopt;
  return ordered_json{{"type", "function"}, {"function", item}};
}

}  // namespace

StatusOr<std::vector<ToolCall>> ReadCalls(const ordered_json& given, std::string_view key) {
  std::vector<ToolCall> calls;
  if (!given.is_array()) {
    ASSIGN_OR_RETURN(ToolCall call, ReadCall(given, key));
    calls.push_back(std::move(call));
    return calls;
  }
  for (const ordered_json& item : given) {
    ASSIGN_OR_RETURN(ToolCall call, ReadCall(item, key));
    calls.push_back(std::move(call));
  }
  return calls;
}

std::optional<std::vector<ToolCall>> CallsOfText(std::string_view text) {
  const ordered_json parsed = Parsed(text);
  if (parsed.is_discarded() || !parsed.is_structured() || parsed.empty()) return std::nullopt;
  StatusOr<std::vector<ToolCall>> calls = ReadCalls(parsed, "value");
  if (!calls.ok()) return std::nullopt;
  return *std::move(calls);
}

StatusOr<ordered_json> ReadTools(const Field& field) {
  ordered_json given = field.kind == FieldKind::kNested ? field.nested : ordered_json();
  if (field.kind == FieldKind::kText && !Trimmed(field.text).empty()) given = Parsed(field.text);
  if (given.is_null() || (given.is_structured() && given.empty())) return ordered_json::array();
  ordered_json tools = ordered_json::array();
  if (given.is_object()) given = ordered_json::array({given});
  for (const ordered_json& item : given.is_array() ? given : ordered_json::array({given})) {
    std::optional<ordered_json> tool = ToolOf(item);
    if (!tool) {
      return absl::InvalidArgumentError(
          "the record has \"tools\" that are no list of functions like {\"name\": ..., \"parameters\": "
          "{...}}; write it as a "
          "JSON list");
    }
    tools.push_back(*std::move(tool));
  }
  return tools;
}

}  // namespace ft::data
