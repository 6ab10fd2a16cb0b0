#include "worker/data/chat/tool_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "worker/data/chat/chat_shapes.h"
#include "worker/data/chat/chat_template.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"

namespace ft::data {
namespace {

using nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Writes tools, calls, results and reasoning as many models do, and reasoning of the last answer only.
constexpr std::string_view kToolTemplate =
    "{% if tools %}tools {{ tools | tojson }}\n{% endif %}"
    "{% for m in messages %}<{{ m.role }}>"
    "{% if m.reasoning_content and loop.last %}({{ m.reasoning_content }}){% endif %}{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}[{{ c.function.name }} {{ c.function.arguments | tojson }}]{% endfor %}"
    "{% if m.role == 'tool' %} of {{ m.name }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

Field NestedField(const char* name, const ordered_json& value) {
  return {.name = name, .kind = FieldKind::kNested, .text = value.dump(), .nested = value};
}

const Origin kOrigin = {.file = "d.jsonl", .row = 1};

class ToolCallsTest : public ::testing::Test {
 protected:
  ToolCallsTest() { OpenTokenizer(kToolTemplate); }

  void OpenTokenizer(std::string_view chat_template) {
    const ft::testing::TempDir dir;
    ordered_json config = ordered_json::parse(tokenizer::TinyTokenizerConfig().dump());
    config["chat_template"] = std::string(chat_template);
    tokenizer::WriteTinyTokenizer(dir.path(), tokenizer::TinyTokenizerJson(),
                                  nlohmann::json::parse(config.dump()));
    auto opened = tokenizer::OpenTokenizer(dir.path());
    FT_CHECK(opened.ok()) << opened.status();
    tokenizer_ = *std::move(opened);
  }

  StatusOr<Dialogue> Read(const char* messages, const char* tools = nullptr) {
    const Field list = NestedField("messages", ordered_json::parse(messages));
    const Field field = tools == nullptr ? Field() : NestedField("tools", ordered_json::parse(tools));
    return FromMessages(
        list,
        {.tools = tools == nullptr ? nullptr : &field, .takes = ChatTemplate::Takes("model", *tokenizer_)},
        kOrigin);
  }

  // The rendered text with learnt parts in ⟦ and ⟧.
  std::string Rendered(const Conversation& turns) {
    const auto chat = ChatTemplate::Open("model", *tokenizer_);
    FT_CHECK(chat.ok()) << chat.status();
    const auto rendered = chat->Render(turns);
    if (!rendered.ok()) return StrCat("REFUSED ", rendered.status().message());
    std::string text;
    size_t done = 0;
    for (const ByteSpan& span : rendered->supervised) {
      StrAppend(&text, rendered->text.substr(done, span.begin - done), "⟦",
                rendered->text.substr(span.begin, span.end - span.begin), "⟧");
      done = span.end;
    }
    return text + rendered->text.substr(done);
  }

  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
};

constexpr const char* kOpenAi = R"([
    {"role": "user", "content": "Weather in Oslo?"},
    {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
        "function": {"name": "weather", "arguments": "{\"unit\":\"C\",\"city\":\"Oslo\"}"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "4 degrees"},
    {"role": "assistant", "content": "It is 4 degrees.", "reasoning_content": "Cold."}])";

TEST_F(ToolCallsTest, OpenAisCallsGoThroughTheModelsTemplateInTheirOrder) {
  const auto dialogue = Read(kOpenAi, R"([{"type": "function", "function": {"name": "weather", "a": 1}}])");
  ASSERT_TRUE(dialogue.ok()) << dialogue.status();
  EXPECT_EQ(Rendered(dialogue->turns),
            "tools [{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"a\": 1}}]\n"
            "<user>Weather in Oslo?<|im_end|>\n"
            "<assistant>⟦[weather {\"unit\": \"C\", \"city\": \"Oslo\"}]<|im_end|>⟧\n"
            "<tool>4 degrees of weather<|im_end|>\n"
            "<assistant>⟦(Cold.)It is 4 degrees.<|im_end|>⟧\n");
}

TEST_F(ToolCallsTest, ShareGptsCallsBecomeTheSame) {
  const auto dialogue = Read(R"([{"from": "human", "value": "q"},
      {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"},
      {"from": "observation", "value": "seen"}, {"from": "gpt", "value": "o"}])",
                             R"([{"name": "f"}])");
  ASSERT_TRUE(dialogue.ok()) << dialogue.status();
  EXPECT_EQ(Rendered(dialogue->turns),
            "tools [{\"type\": \"function\", \"function\": {\"name\": \"f\"}}]\n<user>q<|im_end|>\n"
            "<assistant>⟦[f {\"x\": 1}]<|im_end|>⟧\n<tool>seen of f<|im_end|>\n<assistant>⟦o<|im_end|>⟧\n");
}

TEST_F(ToolCallsTest, TextThatIsNoCallStaysText) {
  const auto dialogue =
      Read(R"([{"from": "human", "value": "q"}, {"from": "function_call", "value": "call f"}])");
  ASSERT_TRUE(dialogue.ok()) << dialogue.status();
  EXPECT_EQ(dialogue->turns[0].output, "call f");
  EXPECT_TRUE(dialogue->turns[0].calls.empty());
}

TEST_F(ToolCallsTest, ResultsWithoutNamesTakeThoseOfTheCallsInOrder) {
  const auto dialogue = Read(R"([{"role": "user", "content": "q"},
      {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"name": "f"}},
                                                         {"id": "b", "function": {"name": "g"}}]},
      {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}, {"role": "assistant", "content": "x"}])");
  ASSERT_TRUE(dialogue.ok()) << dialogue.status();
  ASSERT_EQ(dialogue->turns.size(), 3u);
  EXPECT_EQ(dialogue->turns[1].tool_name, "f");
  EXPECT_EQ(dialogue->turns[2].tool_name, "g");
}

TEST_F(ToolCallsTest, BrokenCallsAndToolsAreRefusedByName) {
  EXPECT_THAT(Read(R"([{"role": "assistant", "tool_calls": [{"id": "c"}]}])").status().message(),
              HasSubstr("d.jsonl line 1: message 1 has \"tool_calls\" with an entry that is no call"));
  EXPECT_THAT(
      Read(R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{x"}}]}])")
          .status()
          .message(),
      HasSubstr("message 1 has a call of \"f\" whose arguments are no JSON"));
  EXPECT_THAT(Read(kOpenAi, R"(["weather"])").status().message(),
              HasSubstr("the record has \"tools\" that are no list of functions"));
}

TEST_F(ToolCallsTest, AnswersThatAreNotToBeLearntAreReadOnly) {
  auto dialogue = Read(kOpenAi);
  ASSERT_TRUE(dialogue.ok()) << dialogue.status();
  dialogue->turns[0].loss = false;
  EXPECT_THAT(Rendered(dialogue->turns),
              HasSubstr("<assistant>[weather {\"unit\": \"C\", \"city\": \"Oslo\"}]<|im_end|>\n"));
}

TEST_F(ToolCallsTest, SeveralMarksOfAnAnswerBelongToIt) {
  OpenTokenizer(
      "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}{% "
      "endgeneration %};"
      "{% generation %}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}");
  Conversation turns = {{.input = "Q1", .output = "A1"}, {.input = "Q2", .output = "A2"}};
  EXPECT_EQ(Rendered(turns), "Q1A:⟦A1⟧;⟦<|im_end|>⟧Q2A:⟦A2⟧;⟦<|im_end|>⟧");
  turns[0].loss = false;
  EXPECT_EQ(Rendered(turns), "Q1A:A1;<|im_end|>Q2A:⟦A2⟧;⟦<|im_end|>⟧");
}

TEST_F(ToolCallsTest, ATemplateThatDropsACallIsRefused) {
  OpenTokenizer(
      "{% if tools %}{% endif %}{% for m in messages %}{{ m.role }}:{{ m.content or 'no' }}"
      "{% if false %}{{ m.tool_calls }}{% endif %}\n{% endfor %}{% if add_generation_prompt %}assistant:{% "
      "endif %}");
  const auto dialogue = Read(R"([{"role": "user", "content": "q"},
      {"role": "assistant", "content": "so", "tool_calls": [{"function": {"name": "weather"}}]}])");
  ASSERT_TRUE(dialogue.ok()) << dialogue.status();
  EXPECT_THAT(Rendered(dialogue->turns),
              HasSubstr("drops 7 characters of the call of a tool (from \"weather\" on)"));
}

}  // namespace
}  // namespace ft::data
