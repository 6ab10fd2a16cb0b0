#include "tests/support/chat_template_reference.h"

#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/file.h"
#include "worker/data/jinja/jinja.h"
#include "worker/data/jinja/jinja_json.h"

namespace ft::testing {
namespace {

using nlohmann::ordered_json;

constexpr uint64_t kMaxFileBytes = 64 << 20;

StatusOr<ordered_json> ReadJson(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxFileBytes));
  ordered_json json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::InvalidArgumentError(StrCat(file.string(), " is no JSON"));
  return json;
}

// As transformers passes reasoning on, whatever name it came under.
void NameReasoning(ordered_json& message) {
  for (const char* key : {"reasoning_content", "thinking", "reasoning"}) {
    if (!message.contains(key) || message[key].is_null()) continue;
    const ordered_json reasoning = message[key];
    if (!message.contains("thinking")) message["thinking"] = reasoning;
    message["reasoning_content"] = reasoning;
    return;
  }
}

StatusOr<data::jinja::Dict> VariablesOf(const ordered_json& conversation, const ordered_json& about) {
  ordered_json given = conversation;
  given.erase("name");
  for (ordered_json& message : given["messages"]) NameReasoning(message);
  for (const char* key : {"tools", "documents"}) {
    if (!given.contains(key)) given[key] = nullptr;
  }
  if (!given.contains("add_generation_prompt")) given["add_generation_prompt"] = false;
  given.update(about.at("variables"));
  ASSIGN_OR_RETURN(const data::jinja::Value value, data::jinja::FromJson(given));
  return value.dict();
}

StatusOr<std::tm> TimeOf(const std::string& text) {
  std::tm time{};
  if (strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &time) == nullptr)
    return absl::InvalidArgumentError(StrCat("about.json: '", text, "' is no time"));
  return time;
}

class Comparer {
 public:
  explicit Comparer(const std::tm& now) : options_{.now = now} {}

  void Compare(const std::string& name, const data::JinjaTemplate& parsed, const ordered_json& expected,
               const data::jinja::Dict& variables) {
    const std::string which = StrCat(name, ", ", expected.at("conversation").get<std::string>());
    const auto output = parsed.Render(variables, options_);
    if (expected.contains("error")) return Count(found_.refusals, !output.ok(), which, "is not refused");
    if (!output.ok())
      return Count(found_.texts, false, which, StrCat("is refused: ", Message(output.status())));
    const auto text = expected.at("text").get<std::string>();
    Count(found_.texts, output->text == text, which, StrCat("is\n", output->text, "\nand should be\n", text));
    if (!expected.contains("generated")) return;
    std::vector<data::OutputRange> generated;
    for (const auto& range : expected["generated"])
      generated.push_back({range.at(0).get<size_t>(), range.at(1).get<size_t>()});
    Count(found_.marks, output->generated == generated, which, "has other marks");
  }
  const ChatTemplateDifferences& found() const { return found_; }

 private:
  void Count(Comparison& comparison, bool same, const std::string& which, const std::string& what) {
    ++comparison.all;
    if (same) return;
    ++comparison.other;
    if (found_.first.empty()) found_.first = StrCat(which, " ", what);
  }

  const data::JinjaOptions options_;
  ChatTemplateDifferences found_;
};

StatusOr<ChatTemplateDifferences> CompareAll(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const ordered_json about, ReadJson(folder / "about.json"));
  ASSIGN_OR_RETURN(const ordered_json expected, ReadJson(folder / "expected.json"));
  ASSIGN_OR_RETURN(const ordered_json conversations, ReadJson(folder / "conversations.json"));
  std::map<std::string, data::jinja::Dict> variables;
  for (const ordered_json& each : conversations) {
    ASSIGN_OR_RETURN(data::jinja::Dict of_conversation, VariablesOf(each, about));
    variables.emplace(each.at("name").get<std::string>(), std::move(of_conversation));
  }
  ASSIGN_OR_RETURN(const std::tm now, TimeOf(about.at("strftime_now").get<std::string>()));
  Comparer comparer(now);
  for (const auto& [name, cases] : expected.items()) {
    ASSIGN_OR_RETURN(const std::string text,
                     ReadFile(folder / "templates" / (name + ".jinja"), kMaxFileBytes));
    const auto parsed = data::JinjaTemplate::Parse(text);
    if (!parsed.ok()) return WithContext(parsed.status(), name);
    for (const ordered_json& each : cases)
      comparer.Compare(name, *parsed, each, variables.at(each.at("conversation").get<std::string>()));
  }
  return comparer.found();
}

}  // namespace

StatusOr<ChatTemplateDifferences> CompareChatTemplates(const std::filesystem::path& folder) {
  try {
    return CompareAll(folder);
  } catch (const std::exception& error) {  // A key that is missing, or of another kind.
    return absl::InvalidArgumentError(StrCat(folder.string(), ": ", error.what()));
  }
}

}  // namespace ft::testing
