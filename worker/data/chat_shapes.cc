#include "worker/data/chat_shapes.h"

#include <optional>
#include <string>
#include <utility>

#include "worker/data/columns.h"

namespace ft::data {
namespace {

using nlohmann::json;

Status Error(const Origin& origin, std::string_view why) {
  return absl::InvalidArgumentError(StrCat(Describe(origin), ": ", why));
}

Status CheckList(const Field& list, const Origin& origin) {
  if (list.kind == FieldKind::kNested && list.nested.is_array()) return absl::OkStatus();
  return Error(origin, StrCat("\"", list.name, "\" must be a list of messages"));
}

// The text under `key`; empty when it is null or absent and that is allowed.
StatusOr<std::string> TextOf(const json& message, const char* key, bool optional, const Origin& origin) {
  const auto found = message.find(key);
  if (found == message.end() || found->is_null()) {
    if (optional) return std::string();
    return Error(origin, StrCat("a message has no \"", key, "\""));
  }
  if (!found->is_string()) return Error(origin, StrCat("\"", key, "\" of a message must be text"));
  return found->get<std::string>();
}

// Whether the message carries loss: `key` as a boolean or as the text "true" or "false"; absent or null =
// yes.
StatusOr<bool> LossOf(const json& message, const char* key, const Origin& origin) {
  const auto found = message.find(key);
  if (found == message.end() || found->is_null()) return true;
  if (found->is_boolean()) return found->get<bool>();
  const std::string word = found->is_string() ? found->get<std::string>() : "";
  if (word == "true" || word == "false") return word == "true";
  return Error(origin, StrCat("\"", key, "\" of a message must be true or false"));
}

// Joins messages into turns: what came since the last answer is the system text and the question of the next
// one.
class TurnBuilder {
 public:
  void System(std::string text) {
    pending_.system = std::move(text);
    started_ = true;
  }
  void Question(const std::string& text) {
    pending_.input += text;
    started_ = true;
  }
  void Answer(std::string text, bool loss) {
    if (!started_) return;  // Nothing was asked yet: a leading answer.
    pending_.output = std::move(text);
    pending_.loss = loss;
    turns_.push_back(std::exchange(pending_, Turn()));
  }
  Conversation Take() { return std::move(turns_); }

 private:
  Turn pending_;
  bool started_ = false;
  Conversation turns_;
};

enum class Role { kSystem, kQuestion, kAnswer, kUnknown };

Role ShareGptRole(const std::string& name) {
  if (name == "system") return Role::kSystem;
  if (name == "human" || name == "user" || name == "observation" || name == "tool") return Role::kQuestion;
  if (name == "gpt" || name == "assistant" || name == "function_call") return Role::kAnswer;
  return Role::kUnknown;
}

Role OpenAiRole(const std::string& name) {
  if (name == "system") return Role::kSystem;
  if (name == "user") return Role::kQuestion;
  if (name == "assistant") return Role::kAnswer;
  return Role::kUnknown;
}

// The system text that tells a model its tools.
std::string ToolText(std::string_view tools) {
  return StrCat("You may call these tools, described as JSON:\n", tools,
                "\nTo call one, answer with nothing but {\"name\": its name, \"arguments\": its arguments}.");
}

bool HasTools(const Field* tools) {
  if (tools == nullptr || tools->kind == FieldKind::kNull) return false;
  const std::string text = Trimmed(tools->text);
  return !text.empty() && text != "[]" && text != "{}";
}

}  // namespace

StatusOr<Conversation> FromXtuner(const Field& list, const Origin& origin) {
  RETURN_IF_ERROR(CheckList(list, origin));
  Conversation turns;
  for (const json& item : list.nested) {
    if (!item.is_object()) return Error(origin, "an entry of \"conversation\" must be an object");
    for (const auto& [key, value] : item.items()) {
      if (key != "system" && key != "input" && key != "output" && key != "output_with_loss") {
        return Error(origin, StrCat("an entry of \"conversation\" has the unknown key \"", key,
                                    "\"; it takes system, input, output and output_with_loss"));
      }
    }
    Turn turn;
    ASSIGN_OR_RETURN(turn.system, TextOf(item, "system", /*optional=*/true, origin));
    ASSIGN_OR_RETURN(turn.input, TextOf(item, "input", /*optional=*/true, origin));
    ASSIGN_OR_RETURN(turn.output, TextOf(item, "output", /*optional=*/false, origin));
    ASSIGN_OR_RETURN(turn.loss, LossOf(item, "output_with_loss", origin));
    turns.push_back(std::move(turn));
  }
  return turns;
}

StatusOr<Conversation> FromShareGpt(const Field& list, const Field* tools, const Origin& origin) {
  RETURN_IF_ERROR(CheckList(list, origin));
  TurnBuilder turns;
  std::string tool_text = HasTools(tools) ? ToolText(tools->text) : "";
  if (!tool_text.empty()) turns.System(tool_text);
  bool asked = false;
  for (const json& message : list.nested) {
    if (!message.is_object()) return Error(origin, "an entry of \"conversations\" must be an object");
    ASSIGN_OR_RETURN(const std::string from, TextOf(message, "from", /*optional=*/false, origin));
    ASSIGN_OR_RETURN(std::string value, TextOf(message, "value", /*optional=*/false, origin));
    switch (ShareGptRole(from)) {
      case Role::kSystem:
        turns.System(tool_text.empty() ? value : StrCat(value, "\n", tool_text));
        asked = true;
        break;
      case Role::kQuestion:
        turns.Question(value);
        asked = true;
        break;
      case Role::kAnswer:
        if (asked) turns.Answer(std::move(value), /*loss=*/true);
        break;
      case Role::kUnknown:
        return Error(origin, StrCat("a message is from \"", from,
                                    "\"; known are system, human, gpt, function_call and observation"));
    }
  }
  return turns.Take();
}

StatusOr<Conversation> FromOpenAi(const Field& list, const Origin& origin) {
  RETURN_IF_ERROR(CheckList(list, origin));
  TurnBuilder turns;
  for (const json& message : list.nested) {
    if (!message.is_object()) return Error(origin, "an entry of \"messages\" must be an object");
    ASSIGN_OR_RETURN(const std::string role, TextOf(message, "role", /*optional=*/false, origin));
    const Role part = OpenAiRole(role);
    if (part == Role::kUnknown) {
      return Error(origin,
                   StrCat("a message has the role \"", role, "\"; known are system, user and assistant"));
    }
    if (message.contains("tool_calls") && !message["tool_calls"].is_null()) {
      return Error(
          origin,
          "a message has \"tool_calls\", which is not read; write calls as text in \"content\", or use "
          "ShareGPT's function_call and observation");
    }
    ASSIGN_OR_RETURN(std::string content, TextOf(message, "content", /*optional=*/false, origin));
    if (part == Role::kSystem) turns.System(std::move(content));
    if (part == Role::kQuestion) turns.Question(content);
    if (part == Role::kAnswer) {
      ASSIGN_OR_RETURN(const bool loss, LossOf(message, "loss", origin));
      turns.Answer(std::move(content), loss);
    }
  }
  return turns.Take();
}

}  // namespace ft::data
