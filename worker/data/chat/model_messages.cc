#include "worker/data/chat/model_messages.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "worker/data/jinja/jinja_json.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::data {
namespace {

using jinja::Value;

StatusOr<Value> CallValue(const ToolCall& call) {
  StatusOr<Value> arguments = jinja::FromJson(call.arguments);
  if (!arguments.ok())
    return WithContext(arguments.status(), StrCat("the arguments of a call of \"", call.name, "\""));
  jinja::Dict function;
  function.Set("name", Value::String(call.name));
  function.Set("arguments", *std::move(arguments));
  jinja::Dict entry;
  if (!call.id.empty()) entry.Set("id", Value::String(call.id));
  entry.Set("type", Value::String("function"));
  ASSIGN_OR_RETURN(Value made, Value::FromDict(std::move(function)));
  entry.Set("function", std::move(made));
  return Value::FromDict(std::move(entry));
}

StatusOr<Value> AnswerMessage(const Turn& turn) {
  jinja::Dict message;
  message.Set("role", Value::String("assistant"));
  // Templates look for reasoning under either name, as transformers passes it.
  if (!turn.reasoning.empty()) message.Set("thinking", Value::String(turn.reasoning));
  message.Set("content", turn.null_output ? Value::None() : Value::String(turn.output));
  if (!turn.reasoning.empty()) message.Set("reasoning_content", Value::String(turn.reasoning));
  if (turn.calls.empty()) return Value::FromDict(std::move(message));
  jinja::List calls;
  for (const ToolCall& call : turn.calls) {
    ASSIGN_OR_RETURN(Value value, CallValue(call));
    calls.push_back(std::move(value));
  }
  ASSIGN_OR_RETURN(Value list, Value::FromList(std::move(calls)));
  message.Set("tool_calls", std::move(list));
  return Value::FromDict(std::move(message));
}

StatusOr<Value> ToolMessage(const Turn& turn) {
  jinja::Dict message;
  message.Set("role", Value::String("tool"));
  if (!turn.tool_name.empty()) message.Set("name", Value::String(turn.tool_name));
  if (!turn.tool_call_id.empty()) message.Set("tool_call_id", Value::String(turn.tool_call_id));
  message.Set("content", Value::String(turn.input));
  return Value::FromDict(std::move(message));
}

}  // namespace

Status CheckUtf8(const Turn& turn) {
  const std::pair<std::string_view, const std::string*> parts[] = {{"system text", &turn.system},
                                                                   {"question", &turn.input},
                                                                   {"answer", &turn.output},
                                                                   {"reasoning", &turn.reasoning}};
  for (const auto& [what, text] : parts) {
    if (const auto broken = tokenizer::FirstInvalidUtf8(*text)) {
      return absl::InvalidArgumentError(StrCat("the ", what, " is not UTF-8 at byte ", *broken));
    }
  }
  return absl::OkStatus();
}

StatusOr<Value> PlainMessage(std::string_view role, const std::string& content) {
  jinja::Dict message;
  message.Set("role", Value::String(std::string(role)));
  message.Set("content", Value::String(content));
  return Value::FromDict(std::move(message));
}

Status AddQuestion(const Turn& next, jinja::List* messages) {
  if (!next.system.empty()) {
    ASSIGN_OR_RETURN(Value system, PlainMessage("system", next.system));
    messages->push_back(std::move(system));
  }
  if (!next.input.empty() || next.from_tool) {
    ASSIGN_OR_RETURN(Value question, next.from_tool ? ToolMessage(next) : PlainMessage("user", next.input));
    messages->push_back(std::move(question));
  }
  return absl::OkStatus();
}

StatusOr<ModelMessages> MessagesOf(const Conversation& turns) {
  ModelMessages made;
  bool asked = false;
  for (const Turn& turn : turns) {
    RETURN_IF_ERROR(CheckUtf8(turn));
    RETURN_IF_ERROR(AddQuestion(turn, &made.messages));
    asked = asked || !turn.input.empty();
    if (!turn.answered) continue;
    made.answers.push_back({made.messages.size(), asked, &turn});
    ASSIGN_OR_RETURN(Value answer, AnswerMessage(turn));
    made.messages.push_back(std::move(answer));
  }
  if (turns.empty() || turns[0].tools.empty()) return made;
  StatusOr<Value> tools = jinja::FromJson(turns[0].tools);
  if (!tools.ok()) return WithContext(tools.status(), "\"tools\"");
  made.tools = *std::move(tools);
  return made;
}

}  // namespace ft::data
