#include "worker/data/chat/chat_shapes.h"

#include <utility>

#include "worker/data/chat/messages.h"
#include "worker/data/readers/columns.h"

namespace ft::data {
namespace {

using nlohmann::json;

Status Error(const Origin& origin, std::string_view why) {
  return absl::InvalidArgumentError(StrCat(Describe(origin), ": ", why));
}

bool IsBlank(std::string_view text) { return Trimmed(text).empty(); }

Status CheckList(const Field& list, const Origin& origin) {
  if (list.kind == FieldKind::kNested && list.nested.is_array()) return absl::OkStatus();
  return Error(origin, StrCat("\"", list.name, "\" must be a list of messages"));
}

// The text under `key` of XTuner's entry; empty when it is null or absent and that is allowed.
StatusOr<std::string> TextOf(const json& entry, const char* key, bool optional, const Origin& origin) {
  const auto found = entry.find(key);
  if (found == entry.end() || found->is_null()) {
    if (optional) return std::string();
    return Error(origin, StrCat("an entry of \"conversation\" has no \"", key, "\""));
  }
  if (!found->is_string())
    return Error(origin, StrCat("\"", key, "\" of an entry of \"conversation\" must be text"));
  return found->get<std::string>();
}

// The system text of a list whose own is `inside`.
StatusOr<std::string> ChooseSystem(const Surroundings& around, std::string inside, const Origin& origin) {
  if (IsBlank(inside)) return around.system;
  if (around.system_is_own && !around.system.empty() && around.system != inside) {
    return Error(origin,
                 "the record has two system texts, one beside its messages and one among them; keep one");
  }
  return inside;
}

// The system text that tells a model its tools; empty when there are none.
std::string ToolText(const Field* tools) {
  if (tools == nullptr || tools->kind == FieldKind::kNull) return "";
  const std::string text = Trimmed(tools->text);
  if (text.empty() || text == "[]" || text == "{}") return "";
  return StrCat("You may call these tools, described as JSON:\n", tools->text,
                "\nTo call one, answer with nothing but {\"name\": its name, \"arguments\": its arguments}.");
}

// Joins messages into turns: what came since the last answer is the system text and the question of the next
// one, in this order; what does not fit becomes a turn without an answer.
class TurnBuilder {
 public:
  void System(std::string text) {
    if (text.empty()) return;
    if (!pending_.system.empty() || asked_) CloseUnanswered();
    pending_.system = std::move(text);
  }
  void Question(std::string text) {
    if (asked_) CloseUnanswered();
    pending_.input = std::move(text);
    asked_ = true;
  }
  void Answer(std::string text, bool loss) {
    pending_.output = std::move(text);
    pending_.loss = loss;
    Close();
    answered_ = turns_.size();
  }
  // Up to the last answer.
  Conversation Take(bool* left_over) {
    *left_over = asked_ || !pending_.system.empty() || turns_.size() > answered_;
    turns_.resize(answered_);
    return std::move(turns_);
  }

 private:
  void Close() {
    turns_.push_back(std::exchange(pending_, Turn()));
    asked_ = false;
  }
  void CloseUnanswered() {
    pending_.answered = false;
    pending_.loss = false;
    Close();
  }
  Turn pending_;
  bool asked_ = false;  // pending_ has a question.
  Conversation turns_;
  size_t answered_ = 0;  // Turns up to the last answer.
};

}  // namespace

StatusOr<Dialogue> FromXtuner(const Field& list, const Surroundings& around, const Origin& origin) {
  RETURN_IF_ERROR(CheckList(list, origin));
  Dialogue dialogue;
  for (const json& item : list.nested) {
    if (!item.is_object()) return Error(origin, "an entry of \"conversation\" must be an object");
    for (const auto& [key, value] : item.items()) {
      if (key != "system" && key != "input" && key != "output" && key != "output_with_loss" &&
          !SaysNothing(value)) {
        return Error(origin, StrCat("an entry of \"conversation\" has the unknown key \"", key,
                                    "\"; it takes system, input, output and output_with_loss"));
      }
    }
    Turn turn;
    ASSIGN_OR_RETURN(turn.system, TextOf(item, "system", /*optional=*/true, origin));
    ASSIGN_OR_RETURN(turn.input, TextOf(item, "input", /*optional=*/true, origin));
    ASSIGN_OR_RETURN(turn.output, TextOf(item, "output", /*optional=*/false, origin));
    ASSIGN_OR_RETURN(turn.loss, LossOf(item, "output_with_loss", dialogue.turns.size() + 1, origin));
    if (dialogue.turns.empty()) {
      ASSIGN_OR_RETURN(turn.system, ChooseSystem(around, std::move(turn.system), origin));
    }
    dialogue.turns.push_back(std::move(turn));
  }
  return dialogue;
}

StatusOr<Dialogue> FromMessages(const Field& list, const Surroundings& around, const Origin& origin) {
  RETURN_IF_ERROR(CheckList(list, origin));
  const std::string tools = ToolText(around.tools);
  Dialogue dialogue;
  TurnBuilder turns;
  size_t number = 0;
  for (const json& item : list.nested) {
    ASSIGN_OR_RETURN(Message message, ReadMessage(item, ++number, origin));
    if (number == 1) {
      const bool given = message.speaker == Speaker::kSystem;
      ASSIGN_OR_RETURN(std::string system, ChooseSystem(around, given ? message.text : "", origin));
      if (!tools.empty()) system += system.empty() ? tools : "\n" + tools;
      turns.System(std::move(system));
      if (given) continue;
    }
    const bool blank = IsBlank(message.text);
    switch (message.speaker) {
      case Speaker::kSystem: turns.System(std::move(message.text)); break;
      case Speaker::kQuestion:
        dialogue.empty_question = dialogue.empty_question || blank;
        turns.Question(std::move(message.text));
        break;
      case Speaker::kToolResult:
        dialogue.empty_tool_result = dialogue.empty_tool_result || blank;
        turns.Question(std::move(message.text));
        break;
      case Speaker::kAnswer: turns.Answer(std::move(message.text), message.loss); break;
    }
  }
  // After the messages, which say better what else has to change.
  if (!tools.empty() && !NamesSpeakersByFrom(list.nested)) {
    return Error(
        origin,
        "the record has \"tools\", which are not read beside messages with role and content; take them "
        "out, or write the messages with from and value");
  }
  dialogue.turns = turns.Take(&dialogue.left_over);
  return dialogue;
}

}  // namespace ft::data
