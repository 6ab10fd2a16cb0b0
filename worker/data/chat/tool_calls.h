// Tools and their calls as data sets write them, in the form that chat templates expect.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/data/chat/conversation.h"
#include "worker/data/readers/record.h"

namespace ft::data {

// OpenAI's `tool_calls`, and its older `function_call`, which is one call. Arguments that are JSON in a text are read.
// INVALID_ARGUMENT says what is wrong, to stand behind "message 2 has".
StatusOr<std::vector<ToolCall>> ReadCalls(const nlohmann::ordered_json& given, std::string_view key);

// A text that is nothing but a call, {"name": ..., "arguments": {...}}, or a list of such, as ShareGPT's function_call
// holds it; nothing when it is another text.
std::optional<std::vector<ToolCall>> CallsOfText(std::string_view text);

// The field `tools`: a list, or JSON of one in a text, of functions with or without {"type": "function"} around them. The
// result has it. Empty when the field says nothing. INVALID_ARGUMENT without the record's place.
StatusOr<nlohmann::ordered_json> ReadTools(const Field& field);

}  // namespace ft::data
