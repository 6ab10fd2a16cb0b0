#include "worker/data/chat/mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/shared_dir.h"
#include "tests/support/temp_dir.h"

namespace ft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Turns as "system/input/output", "-" before an answer without loss.
std::vector<std::string> Show(const Conversation& turns) {
  std::vector<std::string> shown;
  for (const Turn& turn : turns) {
    const std::string answer = StrCat("/", turn.loss ? "" : "-", turn.output);
    shown.push_back(StrCat(turn.system, "/", turn.input, turn.answered ? answer : " (not answered)"));
  }
  return shown;
}

class MappingTest : public ::testing::Test {
 protected:
  // Reads the file, chooses with options_, maps the first record.
  StatusOr<MappedRecord> MapFirst(const std::string& name, const std::string& content) {
    RETURN_IF_ERROR(WriteFileDurably(dir_ / name, content));
    ASSIGN_OR_RETURN(const auto reader, OpenRecords(dir_ / name, {}));
    ASSIGN_OR_RETURN(const std::optional<Record> record, reader->Next());
    if (!record) return absl::NotFoundError("no record");
    options_.source = name;
    ASSIGN_OR_RETURN(const Mapping mapping, Mapping::Choose(options_, {&*record, 1}, reader->columns()));
    explanation_ = mapping.explanation();
    return mapping.Map(*record);
  }
  std::vector<std::string> Shown(const std::string& name, const std::string& content) {
    auto mapped = MapFirst(name, content);
    if (!mapped.ok()) return {std::string(Message(mapped.status()))};
    left_over_ = mapped->left_over;
    return Show(mapped->turns);
  }
  std::string ErrorOf(const std::string& name, const std::string& content) {
    return std::string(Message(MapFirst(name, content).status()));
  }
  ft::testing::TempDir dir_;
  MappingOptions options_;
  std::string explanation_;
  bool left_over_ = false;
};

TEST_F(MappingTest, AlpacaJoinsInstructionAndInput) {
  EXPECT_THAT(Shown("a.json", R"([{"instruction":"i","input":"","output":"o"}])"), ElementsAre("/i/o"));
  EXPECT_EQ(explanation_,
            "a.json: instruction and input are the question, output is the answer (guessed by their names)");
  EXPECT_THAT(Shown("a.json", R"([{"instruction":"i","input":"x","output":"o"}])"), ElementsAre("/i\nx/o"));
  EXPECT_THAT(Shown("a.json", R"([{"instruction":"i","output":"<nooutput>"}])"), ElementsAre());
}

TEST_F(MappingTest, AlpacaTheXtunerWayHasItsSystemTextAndLineBreak) {
  options_.xtuner_alpaca = true;
  const auto shown = Shown("a.json", R"([{"instruction":"i","input":"","output":"o"}])");
  ASSERT_EQ(shown.size(), 1u);
  EXPECT_THAT(shown[0], HasSubstr("appropriately completes the request.\n/i\n/o"));
}

TEST_F(MappingTest, XtunerConversationIsUsedAsItIs) {
  EXPECT_THAT(
      Shown("a.json",
            R"([{"conversation":[{"system":"s","input":"i","output":"o"},{"input":null,"output":"p"}]}])"),
      ElementsAre("s/i/o", "//p"));
  EXPECT_THAT(ErrorOf("a.json", R"([{"conversation":[{"input":"i"}]}])"),
              HasSubstr("a.json line 1: an entry of \"conversation\" has no \"output\""));
  EXPECT_THAT(ErrorOf("a.json", R"([{"conversation":[{"output":"i","outputs":1}]}])"),
              HasSubstr("unknown key \"outputs\""));
  EXPECT_THAT(Shown("a.json", R"([{"conversation":[]}])"), ElementsAre());
}

TEST_F(MappingTest, OpenAiRules) {
  // Nothing is skipped, joined or replaced: what does not fit a turn becomes one without an answer.
  EXPECT_THAT(
      Shown("a.jsonl", R"({"messages":[{"role":"assistant","content":"hi"},{"role":"system","content":"a"},
      {"role":"system","content":"s"},{"role":"user","content":"x"},{"role":"user","content":"y"},
      {"role":"assistant","content":"o","loss":false},{"role":"user","content":"z"},
      {"role":"assistant","content":"p","loss":"true"},{"role":"user","content":"left over"}]})"),
      ElementsAre("//hi", "a/ (not answered)", "s/x (not answered)", "/y/-o", "/z/p"));
  EXPECT_TRUE(left_over_);
  EXPECT_THAT(ErrorOf("a.jsonl", R"({"messages":[{"role":"tool","content":"x"}]})"),
              HasSubstr("a.jsonl line 1: message 1 has the role \"tool\""));
  EXPECT_THAT(ErrorOf("a.jsonl", R"({"messages":[{"role":"user","content":[{"type":"image"}]}]})"),
              HasSubstr("message 1 holds a part of type \"image\"; only parts of type text are read"));
  EXPECT_THAT(
      ErrorOf("a.jsonl",
              R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"x","loss":2}]})"),
      HasSubstr("message 2 has a \"loss\" that is neither 0 nor 1, true nor false"));
}

TEST_F(MappingTest, ShareGptWithToolsSupervisesCallsAndNotObservations) {
  const auto shown =
      Shown("a.json", R"([{"conversations":[{"from":"gpt","value":"hello"},{"from":"human","value":"q"},
      {"from":"function_call","value":"{call}"},{"from":"observation","value":"seen"},{"from":"gpt","value":"o"}],
      "tools":"[{\"name\":\"f\"}]"}])");
  ASSERT_EQ(shown.size(), 3u);
  EXPECT_THAT(shown[0], HasSubstr("[{\"name\":\"f\"}]"));
  EXPECT_THAT(shown[0], HasSubstr("//hello"));
  EXPECT_EQ(shown[1], "/q/{call}");
  EXPECT_EQ(shown[2], "/seen/o");
  EXPECT_THAT(ErrorOf("a.json", R"([{"conversations":[{"from":"judge","value":"q"}]}])"),
              HasSubstr("message 1 has the role \"judge\""));
}

TEST_F(MappingTest, TablesAreGuessedFromTheirHeader) {
  EXPECT_THAT(Shown("a.csv", "id,问题,回答\n1,q,a\n"), ElementsAre("/q/a"));
  EXPECT_EQ(explanation_,
            "a.csv: 问题 is the question, 回答 is the answer (guessed by their names); not used: id");
  EXPECT_THAT(Shown("a.csv", "Prompt,Completion,System\nq,a,s\n"), ElementsAre("s/q/a"));
}

TEST_F(MappingTest, AmbiguousTablesAreRefusedWithTheMapToWrite) {
  EXPECT_THAT(ErrorOf("a.csv", "question,prompt,answer\nq,p,a\n"),
              HasSubstr("both question and prompt may be the question"));
  EXPECT_THAT(
      ErrorOf("a.csv", "x,y\nq,a\n"),
      HasSubstr(
          "a.csv: no fields look like question and answer; name them, perhaps (a guess by what the fields "
          "hold): --map input=x,output=y (in a job file map: {input: \"x\", output: \"y\"})"));
  EXPECT_THAT(ErrorOf("a.jsonl", R"({"messages":[],"conversations":[]})"),
              HasSubstr("several fields hold messages: messages and conversations"));
}

TEST_F(MappingTest, MapNamesColumnsAndASystemText) {
  options_.map = recipe::ColumnMap{.system = "You are a doctor.", .input = "x", .output = "y"};
  EXPECT_THAT(Shown("a.csv", "x,y\nq,a\n"), ElementsAre("You are a doctor./q/a"));
  options_.map->system = "x";
  EXPECT_THAT(Shown("a.csv", "x,y\nq,a\n"), ElementsAre("q/q/a"));
  options_.map->input = "z";
  EXPECT_THAT(ErrorOf("a.csv", "x,y\nq,a\n"),
              HasSubstr("map: names \"z\", which is not there; the fields are: x, y"));
  options_.map = recipe::ColumnMap{.input = "x"};
  EXPECT_THAT(ErrorOf("a.csv", "x,y\nq,a\n"), HasSubstr("map: names no output"));
  options_.map = recipe::ColumnMap{.system = "Be brief."};
  EXPECT_THAT(
      Shown("a.json", R"([{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}])"),
      ElementsAre("Be brief./q/a"));
}

TEST_F(MappingTest, EmptyQuestionsAndAnswersAreNoticed) {
  EXPECT_TRUE(MapFirst("a.csv", "question,answer\nq,\n")->empty_output);
  EXPECT_TRUE(MapFirst("a.csv", "question,answer\n\xC2\xA0,a\n")->empty_input);
  EXPECT_TRUE(MapFirst("a.json", R"([{"instruction":"i","output":null}])")->empty_output);
}

TEST_F(MappingTest, FieldsThatAreNoTextAreRefused) {
  EXPECT_THAT(ErrorOf("a.json", R"([{"question":["x"],"answer":"a"}])"),
              HasSubstr("a.json line 1: \"question\" holds a list or an object where text belongs"));
}

TEST_F(MappingTest, SharedDataSetsMapWhole) {
  const auto shared = ft::testing::SharedDir();
  if (!shared) GTEST_SKIP() << "shared/data is not beside this checkout";
  for (const char* name : {"medication_qa.xlsx", "alpaca_en_demo.json", "alpaca_zh_demo.json",
                           "identity.json", "glaive_toolcall_en_demo.json"}) {
    auto reader = OpenRecords(*shared / "data" / name, {});
    ASSERT_TRUE(reader.ok()) << reader.status();
    std::optional<Mapping> mapping;
    for (;;) {
      auto record = (*reader)->Next();
      ASSERT_TRUE(record.ok()) << record.status();
      if (!record->has_value()) break;
      if (!mapping) {
        auto chosen = Mapping::Choose({.source = name}, {&**record, 1}, (*reader)->columns());
        ASSERT_TRUE(chosen.ok()) << chosen.status();
        mapping = *chosen;
      }
      auto mapped = mapping->Map(**record);
      ASSERT_TRUE(mapped.ok()) << mapped.status();
      EXPECT_FALSE(mapped->turns.empty()) << name << " " << (*record)->origin.row;
      EXPECT_FALSE(mapped->empty_input || mapped->empty_output) << name << " " << (*record)->origin.row;
    }
    if (std::string_view(name) == "medication_qa.xlsx") {
      EXPECT_EQ(mapping->explanation(),
                "medication_qa.xlsx: Question is the question, Answer is the answer (guessed by their "
                "names); not used: "
                "Focus (Drug), Question Type, Section Title, URL");
    }
  }
}

}  // namespace
}  // namespace ft::data
