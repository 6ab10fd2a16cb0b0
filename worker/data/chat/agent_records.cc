// MSAgent-Bench's records as the ReAct texts that XTuner 0.1.9 trained on.
#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/excerpt.h"
#include "worker/data/chat/data_set_maps.h"
#include "worker/data/chat/python_text.h"
#include "worker/data/jinja/jinja_text.h"

namespace ft::data {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kThinks = "<|startofthink|>", kThinksEnd = "<|endofthink|>";
constexpr std::string_view kRuns = "<|startofexec|>", kRunsEnd = "<|endofexec|>";
constexpr std::string_view kFinalAnswer = "Final Answer:";

// As version 0.1.9 has it, with the blanks of its source in it.
constexpr std::string_view kToolsBegin = "你是一个可以调用外部工具的助手，可以使用的工具包括：\n";
constexpr std::string_view kFormatBegin =
    "\n                如果使用工具请遵循以下格式回复：\n```\n\n                "
    "Thought:思考你当前步骤需要解决什么问题，是否需要使用工具\n\n                "
    "Action:工具名称，你的工具必须从 "
    "[";
constexpr std::string_view kFormatEnd =
    "] 选择\n\n                Action Input:工具输入参数\n```\n工具返回按照以下格式回复：\n```\n\n           "
    "     "
    "Response:调用工具后的结果\n```\n如果你已经知道了答案，或者你不需要工具，\n                "
    "请遵循以下格式回复\n```\n\n                Thought:给出最终答案的思考过程\n\n                "
    "Final Answer:最终答案\n```\n开始!\n";

std::string_view Strip(std::string_view text) { return jinja::StripLeft(jinja::StripRight(text)); }

// One past the object that begins at `begin`, by its braces; nothing where it does not end, or nests too deep.
std::optional<size_t> EndOfObject(std::string_view text, size_t begin) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{') {
      if (++depth > kMaxLiteralDepth) return std::nullopt;
    } else if (c == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return std::nullopt;
}

// The objects of a text that name a tool and say what it does.
std::vector<Json> ToolsIn(std::string_view text) {
  std::vector<Json> tools;
  for (size_t at = text.find('{'); at != std::string_view::npos; at = text.find('{', at)) {
    const std::optional<size_t> end = EndOfObject(text, at);
    Json object = end ? Json::parse(text.substr(at, *end - at), nullptr, /*allow_exceptions=*/false)
                      : Json(Json::value_t::discarded);
    if (object.is_discarded()) {
      ++at;
      continue;
    }
    if (object.contains("name") && object.contains("description")) tools.push_back(std::move(object));
    at = *end;
  }
  return tools;
}

// {name: description} of a tool's parameters; nothing where it lists none.
std::optional<Json> ParametersOf(const Json& tool) {
  const auto paths = tool.find("paths");
  if (paths == tool.end() || !paths->is_array() || paths->empty() || !(*paths)[0].is_object())
    return std::nullopt;
  const auto parameters = (*paths)[0].find("parameters");
  if (parameters == (*paths)[0].end() || !parameters->is_array()) return std::nullopt;
  Json named = Json::object();
  for (const Json& parameter : *parameters) {
    if (!parameter.is_object() || !parameter.contains("name") || !parameter.contains("description") ||
        !parameter["name"].is_string())
      return std::nullopt;
    named[parameter["name"].get_ref<const std::string&>()] = parameter["description"];
  }
  return named;
}

StatusOr<std::string> SystemText(std::string_view value) {
  Json described = Json::object();
  for (const Json& tool : ToolsIn(value)) {
    if (!tool["name"].is_string()) continue;
    Json& description = described[tool["name"].get_ref<const std::string&>()];
    description = tool["description"];
    const std::optional<Json> parameters = ParametersOf(tool);
    if (!parameters || !description.is_string()) continue;
    ASSIGN_OR_RETURN(const std::string listed, PythonText(*parameters));
    description = StrCat(description.get_ref<const std::string&>(), "\n输入参数: ", listed);
  }
  Json names = Json::array();
  for (const auto& [name, description] : described.items()) names.push_back(name);
  ASSIGN_OR_RETURN(const std::string tools, PythonText(described));
  ASSIGN_OR_RETURN(const std::string listed, PythonText(names));
  return StrCat(kToolsBegin, tools, "\n", kFormatBegin, listed, kFormatEnd);
}

std::string Without(std::string text, std::string_view what) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos;) text.erase(at, what.size());
  return text;
}

// JSON in a fence of code.
StatusOr<Json> FencedJson(std::string_view text) {
  const std::string bare = Without(Without(Without(std::string(text), "```JSON"), "```"), "\n");
  Json json = Json::parse(bare, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::InvalidArgumentError("a call of a tool or its result is no JSON");
  return json;
}

// What is said, with each call of a tool in its place.
StatusOr<std::string> Answer(std::string_view said) {
  std::string text;
  bool called = false;
  while (true) {
    const size_t begin = said.find(kThinks);
    const size_t end =
        begin == std::string_view::npos ? begin : said.find(kThinksEnd, begin + kThinks.size());
    if (end == std::string_view::npos) break;
    called = true;
    const std::string_view thought = Strip(said.substr(0, begin));
    if (!thought.empty()) StrAppend(&text, "Thought:", thought, "\n");
    ASSIGN_OR_RETURN(const Json call,
                     FencedJson(said.substr(begin + kThinks.size(), end - begin - kThinks.size())));
    if (!call.is_object() || !call.contains("api_name") || !call.contains("parameters"))
      return absl::InvalidArgumentError("a call of a tool lacks api_name or parameters");
    ASSIGN_OR_RETURN(const std::string name, PythonText(call["api_name"]));
    ASSIGN_OR_RETURN(const std::string parameters, PythonText(call["parameters"]));
    StrAppend(&text, "Action:", name, "\nAction Input:", parameters, "\n");
    said.remove_prefix(end + kThinksEnd.size());
  }
  return StrCat(called ? "" : kFinalAnswer, text, said, "\n");
}

// What a tool gave and what is said after it as a turn of their own; nothing where no answer follows, or what stands there cannot
// be read.
std::optional<Turn> AfterRun(std::string_view ran) {
  const size_t end = ran.find(kRunsEnd);
  std::string text = StrCat(kRuns, ran);
  if (end != std::string_view::npos) {
    const auto result = FencedJson(ran.substr(0, end));
    if (!result.ok()) return std::nullopt;
    const auto shown = PythonText(*result);
    if (!shown.ok()) return std::nullopt;
    text = StrCat("Response:", *shown, "\n");
    const std::string_view said = Strip(ran.substr(end + kRunsEnd.size()));
    if (!said.empty()) StrAppend(&text, kFinalAnswer, said, "\n");
  }
  const size_t answer = text.find(kFinalAnswer);
  if (answer == std::string::npos) return std::nullopt;
  Turn turn;
  turn.system = text.substr(0, answer);
  turn.output = StrCat(kFinalAnswer, Strip(std::string_view(text).substr(answer + kFinalAnswer.size())));
  return turn;
}

// Adds what the assistant says; `pending` holds system text and question.
Status AddAnswer(std::string_view said, Turn pending, Conversation* turns) {
  const size_t runs = said.find(kRuns);
  std::optional<Turn> after;
  if (runs != std::string_view::npos) {
    const std::string_view ran = said.substr(runs + kRuns.size());
    if (ran.find(kRuns) != std::string_view::npos)
      return absl::InvalidArgumentError("an answer runs tools twice (<|startofexec|>)");
    after = AfterRun(ran);
  }
  ASSIGN_OR_RETURN(pending.output, Answer(said.substr(0, runs)));
  turns->push_back(std::move(pending));
  if (after) turns->push_back(*std::move(after));
  return absl::OkStatus();
}

StatusOr<FieldConversation> FromMessageList(const Json& messages) {
  FieldConversation made;
  Turn pending;
  if (!messages.is_array()) return absl::InvalidArgumentError("it is no list of {from, value}");
  for (const Json& message : messages) {
    const bool texts = message.is_object() && message.contains("from") && message["from"].is_string() &&
                       message.contains("value") && message["value"].is_string();
    if (!texts) return absl::InvalidArgumentError("it is no list of {from, value}");
    const std::string& from = message["from"].get_ref<const std::string&>();
    const std::string& value = message["value"].get_ref<const std::string&>();
    if (from == "system") {
      ASSIGN_OR_RETURN(const std::string text, SystemText(value));
      pending.system += text;
    } else if (from == "user") {
      StrAppend(&pending.input, value, "\n");
    } else if (from == "assistant") {
      RETURN_IF_ERROR(AddAnswer(value, std::exchange(pending, Turn()), &made.turns));
    } else {
      return absl::InvalidArgumentError(
          StrCat("it has the role \"", Excerpt(from, 40), "\"; known are system, user and assistant"));
    }
  }
  made.left_over = !pending.input.empty();
  return made;
}

}  // namespace

StatusOr<FieldConversation> FromAgent(const Field& field) {
  StatusOr<Json> messages = field.kind == FieldKind::kNested ? field.nested : ParsePythonLiteral(field.text);
  StatusOr<FieldConversation> made =
      messages.ok() ? FromMessageList(*messages) : StatusOr<FieldConversation>(messages.status());
  if (made.ok()) return made;
  FieldConversation wrong;
  wrong.wrong = StrCat(
      "\"conversations\" cannot be read as a list of messages of MSAgent-Bench, written as a Python "
      "literal: ",
      ft::Message(made.status()), "; mend or delete the record");
  return wrong;
}

}  // namespace ft::data
