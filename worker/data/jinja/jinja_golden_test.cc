// The chat templates of real models beside what Jinja2 as transformers sets it up makes of them.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "tests/support/shared_dir.h"
#include "worker/data/jinja/jinja.h"
#include "worker/data/jinja/jinja_json.h"

namespace ft::data {
namespace {

using nlohmann::ordered_json;

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

jinja::Dict VariablesOf(const ordered_json& conversation, const ordered_json& about) {
  ordered_json given = conversation;
  given.erase("name");
  for (ordered_json& message : given["messages"]) NameReasoning(message);
  for (const char* key : {"tools", "documents"}) {
    if (!given.contains(key)) given[key] = nullptr;
  }
  if (!given.contains("add_generation_prompt")) given["add_generation_prompt"] = false;
  given.update(about["variables"]);
  return jinja::FromJson(given)->dict();
}

std::tm TimeOf(const std::string& text) {
  std::tm time{};
  EXPECT_NE(strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &time), nullptr) << text;
  return time;
}

struct Counts {
  int texts = 0, equal_texts = 0, marks = 0, equal_marks = 0, refusals = 0, refused = 0;
};

void Compare(const JinjaTemplate& parsed, const ordered_json& expected, const jinja::Dict& variables,
             const JinjaOptions& options, Counts* counts) {
  const auto output = parsed.Render(variables, options);
  if (expected.contains("error")) {
    ++counts->refusals;
    counts->refused += output.ok() ? 0 : 1;
    EXPECT_FALSE(output.ok()) << expected["conversation"];
    return;
  }
  ++counts->texts;
  ASSERT_TRUE(output.ok()) << expected["conversation"] << output.status();
  counts->equal_texts += output->text == expected["text"].get<std::string>() ? 1 : 0;
  EXPECT_EQ(output->text, expected["text"].get<std::string>()) << expected["conversation"];
  if (!expected.contains("generated")) return;
  ++counts->marks;
  std::vector<OutputRange> generated;
  for (const auto& range : expected["generated"])
    generated.push_back({range[0].get<size_t>(), range[1].get<size_t>()});
  counts->equal_marks += output->generated == generated ? 1 : 0;
  EXPECT_EQ(output->generated, generated) << expected["conversation"];
}

TEST(JinjaGoldenTest, RealTemplatesEqualTransformers) {
  const auto shared = ft::testing::SharedDir();
  if (!shared) GTEST_SKIP() << "the folder shared with golden/chat_templates is not beside this checkout";
  const std::filesystem::path folder = *shared / "golden" / "chat_templates";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "there is no golden/chat_templates beside this checkout";
  const ordered_json about = ordered_json::parse(*ReadFile(folder / "about.json"));
  const ordered_json expected = ordered_json::parse(*ReadFile(folder / "expected.json"));
  std::map<std::string, jinja::Dict> conversations;
  for (const ordered_json& each : ordered_json::parse(*ReadFile(folder / "conversations.json"))) {
    conversations[each["name"]] = VariablesOf(each, about);
  }
  const JinjaOptions options{.now = TimeOf(about["strftime_now"])};
  Counts counts;
  for (const auto& [name, cases] : expected.items()) {
    SCOPED_TRACE(name);
    const auto parsed = JinjaTemplate::Parse(*ReadFile(folder / "templates" / (name + ".jinja")));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    for (const ordered_json& each : cases)
      Compare(*parsed, each, conversations.at(each["conversation"]), options, &counts);
  }
  EXPECT_GT(counts.texts, 0);
  RecordProperty("texts", counts.texts);
  std::cout << counts.equal_texts << " of " << counts.texts << " texts, " << counts.equal_marks << " of "
            << counts.marks << " marks equal; " << counts.refused << " of " << counts.refusals
            << " refused\n";
}

}  // namespace
}  // namespace ft::data
