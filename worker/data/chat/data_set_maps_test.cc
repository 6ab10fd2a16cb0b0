#include "worker/data/chat/data_set_maps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/data/chat/mapping.h"

namespace ft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DataSetMapsTest : public ::testing::Test {
 protected:
  // The first record of a .jsonl file with this line, mapped by `kind`: "system/input/output" of each turn, or the refusal.
  std::vector<std::string> Shown(const std::string& kind, const nlohmann::ordered_json& line) {
    const auto mapped = Map(kind, line);
    if (!mapped.ok()) return {std::string(ft::Message(mapped.status()))};
    left_over_ = mapped->left_over;
    unfit_ = mapped->unfit;
    empty_input_ = mapped->empty_input;
    std::vector<std::string> shown;
    for (const Turn& turn : mapped->turns)
      shown.push_back(StrCat(turn.system, "/", turn.input, "/", turn.output));
    return shown;
  }
  StatusOr<MappedRecord> Map(const std::string& kind, const nlohmann::ordered_json& line) {
    RETURN_IF_ERROR(WriteFileDurably(dir_ / "a.jsonl", line.dump()));
    ASSIGN_OR_RETURN(const auto reader, OpenRecords(dir_ / "a.jsonl", {}));
    ASSIGN_OR_RETURN(const std::optional<Record> record, reader->Next());
    options_.source = "a.jsonl";
    options_.map = recipe::ColumnMap{.kind = kind, .system = system_};
    ASSIGN_OR_RETURN(const Mapping mapping, Mapping::Choose(options_, {&*record, 1}, reader->columns()));
    explanation_ = mapping.explanation();
    return mapping.Map(*record);
  }
  ft::testing::TempDir dir_;
  MappingOptions options_;
  std::string system_, explanation_;
  bool left_over_ = false, unfit_ = false, empty_input_ = false;
};

TEST_F(DataSetMapsTest, QuestionsOfTwoColumnsHaveALineBreakBetweenThem) {
  EXPECT_THAT(Shown("alpaca", {{"instruction", "i"}, {"input", ""}, {"output", "o"}}), ElementsAre("/i\n/o"));
  EXPECT_THAT(Shown("alpaca", {{"instruction", "i"}, {"input", "x"}, {"output", "<nooutput>"}}),
              ElementsAre());
  EXPECT_THAT(Shown("alpaca_zh", {{"instruction_zh", "问"}, {"input_zh", "x"}, {"output_zh", "<nooutput>"}}),
              ElementsAre("/问\nx/<nooutput>"));
  EXPECT_THAT(Shown("medical", {{"instruction", "i"}, {"input", "x"}, {"output", "o"}}),
              ElementsAre("/i\nx/o"));
  system_ = "Write SQL.";
  EXPECT_THAT(Shown("sql", {{"answer", "SELECT"}, {"question", "how many?"}, {"context", "CREATE"}}),
              ElementsAre("Write SQL./CREATE\nhow many?/SELECT"));
  EXPECT_EQ(explanation_,
            "a.jsonl: context and question are the question, answer is the answer, with the same system text "
            "everywhere (as map: sql says)");
}

TEST_F(DataSetMapsTest, ColorsAreAskedForByWhatFollowsTheColon) {
  EXPECT_THAT(Shown("colors", {{"description", "Sky: a light blue: clear "}, {"color", "#87ceeb"}}),
              ElementsAre("/a light blue: clear/#87ceeb"));
  EXPECT_THAT(Shown("colors", {{"description", "no colon"}, {"color", "#000000"}}), ElementsAre("//#000000"));
  EXPECT_TRUE(empty_input_);
}

TEST_F(DataSetMapsTest, FieldsThatAreNotThereAreNamed) {
  EXPECT_THAT(Shown("sql", {{"question", "q"}, {"answer", "a"}})[0],
              HasSubstr("a.jsonl: map: sql needs the field \"context\", which is not there; the fields are: "
                        "question, answer"));
  EXPECT_THAT(Shown("oasst1", {{"txt", "q"}})[0], HasSubstr("map: oasst1 needs the field \"text\""));
  options_.format = "openai";
  EXPECT_THAT(Shown("oasst1", {{"text", "q"}})[0],
              HasSubstr("map: oasst1 says what the records are; take format: openai out"));
}

TEST_F(DataSetMapsTest, GuanacoTextsBecomeTurnsWhateverTheirRoles) {
  EXPECT_THAT(Shown("oasst1", {{"text", " ### Human: a\nb ### Assistant: c### Human: d### Assistant:  e\n"}}),
              ElementsAre("/a\nb/c", "/d/e"));
  EXPECT_FALSE(left_over_);
  EXPECT_THAT(Shown("oasst1", {{"text", "### Human: a### Human: b### Assistant: c"}}), ElementsAre("/a/b"));
  EXPECT_TRUE(left_over_);
  // What is behind a heading in an answer is lost, as there.
  EXPECT_THAT(Shown("oasst1", {{"text", "### Human: a### Assistant: b### Steps: c"}}), ElementsAre("/a/b"));
}

TEST_F(DataSetMapsTest, AGuanacoTextOfOnePieceIsRefusedOrLeftOut) {
  const nlohmann::ordered_json one = {{"text", "### Human: a"}};
  EXPECT_EQ(
      Shown("oasst1", one)[0],
      (dir_ / "a.jsonl").string() +
          " line 1: \"text\" holds only one piece that begins with \"### Human:\" or \"### Assistant:\"; "
          "write a question and an answer, or delete the record");
  EXPECT_THAT(Shown("oasst1", {{"text", "hello"}})[0], HasSubstr("holds nothing that begins with"));
  EXPECT_THAT(Shown("oasst1", {{"text", {"hello"}}})[0], HasSubstr("\"text\" holds no text"));
  options_.drops_unfit = true;
  EXPECT_THAT(Shown("oasst1", one), ElementsAre());
  EXPECT_TRUE(unfit_);
}

TEST_F(DataSetMapsTest, WizardsQuestionsInARowAreJoined) {
  const auto said = [](std::initializer_list<std::pair<const char*, const char*>> list) {
    nlohmann::ordered_json messages = nlohmann::ordered_json::array();
    for (const auto& [from, value] : list) messages.push_back({{"from", from}, {"value", value}});
    return nlohmann::ordered_json{{"idx", "1"}, {"conversations", messages}};
  };
  EXPECT_THAT(Shown("wizardlm", said({{"gpt", "x"},
                                      {"gpt", "y"},
                                      {"human", "a"},
                                      {"human", "b"},
                                      {"gpt", "c"},
                                      {"gpt", "d"},
                                      {"human", "e"}})),
              ElementsAre("/ab/c", "//d"));
  EXPECT_TRUE(left_over_);
  options_.drops_unfit = true;  // XTuner refuses it too.
  EXPECT_THAT(
      Shown("wizardlm", said({{"system", "x"}}))[0],
      HasSubstr("a.jsonl line 1: \"conversations\" has the role \"system\"; known are human and gpt"));
  EXPECT_THAT(Shown("wizardlm", {{"conversations", "text"}})[0],
              HasSubstr("must be a list of {from, value}"));
}

constexpr const char* kWeather =
    R"py([{'from': 'system', 'value': 'tools: {"name":"weather","description":"look up weather","paths":[{"parameters":[{"name":"city","description":"city name"}]}]} {"x":1} {bad'},
{'from': 'user', 'value': 'rain?'},
{'from': 'assistant', 'value': 'let me see <|startofthink|>```JSON\n{"api_name":"weather","parameters":{"city":"Paris"}}```<|endofthink|><|startofexec|>```JSON\n{"ok":true,"r":null}```<|endofexec|>It rains.'},
{'from': 'user', 'value': 'thanks'}, {'from': 'assistant', 'value': 'Gladly.'}])py";

TEST_F(DataSetMapsTest, AgentRecordsBecomeThoughtsAndActions) {
  const auto mapped = Map("msagent_react", {{"conversations", kWeather}});
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  ASSERT_EQ(mapped->turns.size(), 3u);
  const Turn& first = mapped->turns[0];
  EXPECT_TRUE(
      first.system.starts_with("你是一个可以调用外部工具的助手，可以使用的工具包括：\n{'weather': \"look up "
                               "weather\\n输入参数: {'city': 'city name'}\"}\n\n                如果"))
      << first.system;
  EXPECT_THAT(first.system, HasSubstr("你的工具必须从 [['weather']] 选择\n"));
  EXPECT_TRUE(first.system.ends_with("Final Answer:最终答案\n```\n开始!\n"));
  EXPECT_EQ(first.input, "rain?\n");
  EXPECT_EQ(first.output, "Thought:let me see\nAction:weather\nAction Input:{'city': 'Paris'}\n\n");
  EXPECT_EQ(mapped->turns[1].system, "Response:{'ok': True, 'r': None}\n");
  EXPECT_EQ(mapped->turns[1].input, "");
  EXPECT_EQ(mapped->turns[1].output, "Final Answer:It rains.");
  EXPECT_EQ(mapped->turns[2].input, "thanks\n");
  EXPECT_EQ(mapped->turns[2].output, "Final Answer:Gladly.\n");
  EXPECT_FALSE(mapped->empty_input);
}

TEST_F(DataSetMapsTest, WhatAToolDidWithoutAnAnswerAddsNoTurn) {
  const auto shown = Shown(
      "msagent_react",
      {{"conversations",
        R"([{'from': 'user', 'value': 'q'}, {'from': 'assistant', 'value': '<|startofthink|>{"api_name":"f","parameters":{}}<|endofthink|> so <|startofexec|>no json<|endofexec|>A'}])"}});
  EXPECT_THAT(shown, ElementsAre("/q\n/Action:f\nAction Input:{}\n so \n"));
}

TEST_F(DataSetMapsTest, AgentRecordsThatAreNoneAreRefusedOrLeftOut) {
  const auto said = [](const char* value) {
    return nlohmann::ordered_json{
        {"conversations",
         StrCat("[{'from': 'user', 'value': 'q'}, {'from': 'assistant', 'value': '", value, "'}]")}};
  };
  EXPECT_THAT(
      Shown("msagent_react", {{"conversations", "os.remove('x')"}})[0],
      HasSubstr("a.jsonl line 1: \"conversations\" cannot be read as a list of messages of MSAgent-Bench, "
                "written as a Python literal: this is no Python literal (after 0 bytes); mend or delete "
                "the record"));
  EXPECT_THAT(Shown("msagent_react", said("<|startofthink|>{<|endofthink|>"))[0], HasSubstr("is no JSON"));
  EXPECT_THAT(Shown("msagent_react", said("<|startofthink|>{}<|endofthink|>"))[0],
              HasSubstr("lacks api_name"));
  EXPECT_THAT(Shown("msagent_react", said("a<|startofexec|>b<|startofexec|>c"))[0],
              HasSubstr("runs tools twice"));
  EXPECT_THAT(Shown("msagent_react", {{"conversations", "[{'from': 'judge', 'value': 'x'}]"}})[0],
              HasSubstr("it has the role \"judge\""));
  options_.drops_unfit = true;
  EXPECT_THAT(Shown("msagent_react", said("a<|startofexec|>b<|startofexec|>c")), ElementsAre());
  EXPECT_TRUE(unfit_);
}

}  // namespace
}  // namespace ft::data
