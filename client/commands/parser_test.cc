#include "client/commands/parser.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "client/commands/help_text.h"
#include "client/render/templates.h"
#include "client/render/width.h"
#include "client/session/output.h"
#include "client/session/session.h"

namespace ft::client {
namespace {

class ParserTest : public ::testing::Test {
 protected:
  explicit ParserTest(const Terminal& terminal = {}) {
    session_.terminal = terminal;
    DeclareVerbs(root_, session_);
  }

  // The help of the program and of every verb.
  std::string HelpOfAll() {
    const auto formatter = root_.get_formatter();
    std::string text = formatter->make_help(&root_, "ftctl", CLI::AppFormatMode::Normal);
    for (const CLI::App* verb : root_.get_subcommands([](CLI::App*) { return true; }))
      text += formatter->make_help(verb, "ftctl " + verb->get_name(), CLI::AppFormatMode::Normal);
    return text;
  }

  // Throws CLI::ParseError as main would see it.
  void Parse(std::initializer_list<const char*> arguments) {
    std::vector<const char*> all = {"ftctl"};
    all.insert(all.end(), arguments);
    root_.parse(static_cast<int>(all.size()), all.data());
  }

  Session session_;
  CLI::App root_;
};

TEST_F(ParserTest, EveryVerbsHelpFitsEightyColumns) {
  int verbs = 0;
  for (const CLI::App* verb : root_.get_subcommands([](CLI::App*) { return true; })) {
    EXPECT_FALSE(verb->get_description().empty()) << verb->get_name();
    ++verbs;
  }
  EXPECT_GE(verbs, 28);
  std::istringstream lines(HelpOfAll());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 80) << line;
}

// All texts of help that the command line declares.
std::set<std::string> HelpOf(CLI::App& root) {
  std::set<std::string> texts;
  ChangeHelp(root, [&texts](const std::string& text) {
    texts.insert(text);
    return text;
  });
  return texts;
}

TEST_F(ParserTest, EveryTextOfHelpHasAChineseOne) {
  std::set<std::string> known;
  for (const Template& text : HelpTexts()) {
    EXPECT_TRUE(known.insert(std::string(text.english)).second) << "twice: " << text.english;
  }
  const std::set<std::string> said = HelpOf(root_);
  EXPECT_GE(said.size(), 100u);
  // The parser's own.
  const std::set<std::string> others = {"Options", "Subcommands", "Print this help message and exit"};
  for (const std::string& text : said)
    EXPECT_TRUE(known.contains(text) || others.contains(text)) << "has no Chinese: " << text;
  for (const std::string& text : known) EXPECT_TRUE(said.contains(text)) << "nobody says: " << text;
}

class ChineseParserTest : public ParserTest {
 protected:
  ChineseParserTest() : ParserTest({.utf8 = true, .language = Language::kChinese}) {}

  std::string Refusal(std::initializer_list<const char*> arguments) {
    try {
      Parse(arguments);
    } catch (const CLI::ParseError& error) {
      return UsageMessage(root_, error.what(), session_.terminal);
    }
    return "";
  }
};

TEST_F(ChineseParserTest, HelpIsChineseAndFitsEightyColumns) {
  // Commands, names of options and of arguments, paths, and what is quoted are no words of a sentence.
  const std::regex no_words(
      R"(`[^`]*`|"[^"]*"|\S*[/=.<]\S*|ft-rank \w+|ftctl( [a-z]+( (\w+|-\w+))*)?|-[-\w]+|Hugging Face)");
  const std::regex english("[A-Za-z]{2,} [a-z]{2,}");
  std::istringstream lines(HelpOfAll());
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(DisplayWidth(line), 80) << line;
    EXPECT_FALSE(std::regex_search(std::regex_replace(line, no_words, ""), english)) << line;
  }
}

TEST_F(ChineseParserTest, RefusalsAreChinese) {
  EXPECT_EQ(Refusal({"nonsense"}), "没有命令 'nonsense'；ftctl --help 列出全部命令");
  EXPECT_EQ(Refusal({"rnu"}), "没有命令 'rnu'（是否想用 run？）；ftctl --help 列出全部命令");
  EXPECT_EQ(Refusal({"--nonsense"}), "缺少命令，--nonsense 不是选项；ftctl --help 列出全部命令");
  EXPECT_EQ(Refusal({"run", "--modle", "x"}), "没有选项 --modle（是否想用 --model？）；见 ftctl run --help");
  EXPECT_EQ(Refusal({"get"}), "缺少 JOB；见 ftctl get --help");
  EXPECT_EQ(Refusal({"get", "qa", "x"}), "多余的参数：x；见 ftctl get --help");
  EXPECT_EQ(Refusal({"get", "qa", "--config", "--resolved"}),
            "--config 不能与 --resolved 同用；见 ftctl get --help");
  EXPECT_EQ(Refusal({"list", "--limit", "none"}),
            "--limit：none 不在 1 到 100000 之间；见 ftctl list --help");
  EXPECT_EQ(Refusal({"list", "-o", "xml"}), "--output：xml 不是以下之一：{table,json}；见 ftctl list --help");
  EXPECT_EQ(Refusal({"list", "--namespace"}), "--namespace 缺少值；见 ftctl list --help");
  EXPECT_EQ(Refusal({"metrics", "qa", "--first", "x"}), "--first 的值 x 无法识别；见 ftctl metrics --help");
  EXPECT_EQ(Refusal({"run", "--map", "x"}),
            "--map x：请写成 input=问题列,output=答案列；见 ftctl run --help");
}

TEST(StateNameTest, EveryStateHasAChineseWord) {
  Session session;
  session.terminal = {.utf8 = true, .language = Language::kChinese};
  for (const auto* states : {finetune::v1::JobState_descriptor(), finetune::v1::NodeState_descriptor()}) {
    for (int i = 0; i < states->value_count(); ++i) {
      const std::string word = states->value(i)->name();
      EXPECT_NE(StateName(session, word), word);
      EXPECT_EQ(StateName(Session(), word), word);
    }
  }
}

TEST_F(ParserTest, OptionsOfEveryVerbStandAnywhere) {
  Parse({"list", "-o", "json", "--server", "/run/f.sock"});
  EXPECT_TRUE(session_.json());
  EXPECT_EQ(session_.server, "/run/f.sock");
  EXPECT_TRUE(session_.action != nullptr);
}

TEST_F(ParserTest, SettingsRepeatWithoutSwallowingTheFile) {
  EXPECT_NO_THROW(Parse({"submit", "--set", "a=1", "--set", "b=2", "job.yaml", "--wait"}));
}

TEST_F(ParserTest, JobMayBeCalledLikeAVerb) { EXPECT_NO_THROW(Parse({"get", "list"})); }

TEST_F(ParserTest, ChatLeavesItsOptionsToTheRank) {
  EXPECT_NO_THROW(Parse({"chat", "qa", "--prompt", "Who are you?", "--max-new-tokens", "20"}));
  const std::vector<std::string> rest = root_.get_subcommand("chat")->remaining();
  EXPECT_EQ(rest, (std::vector<std::string>{"--prompt", "Who are you?", "--max-new-tokens", "20"}));
}

TEST_F(ParserTest, UnknownVerbsAndMissingArgumentsAreErrors) {
  EXPECT_THROW(Parse({"nonsense"}), CLI::ParseError);
  EXPECT_THROW(Parse({"get"}), CLI::ParseError);
  EXPECT_THROW(Parse({"list", "--limit", "none"}), CLI::ParseError);
  EXPECT_THROW(Parse({"list", "-o", "xml"}), CLI::ParseError);
  EXPECT_THROW(Parse({"list", "--frobnicate"}), CLI::ParseError);
}

TEST_F(ParserTest, UnknownVerbIsNamed) {
  EXPECT_THROW(Parse({"nonsense", "x"}), CLI::ParseError);
  EXPECT_EQ(UsageMessage(root_, ""), "there is no verb 'nonsense'; ftctl --help lists them");
}

TEST_F(ParserTest, HelpOfAnUnknownVerbIsAUsageError) {
  Parse({"help", "nonsense"});
  EXPECT_TRUE(absl::IsInvalidArgument(session_.action().status()));
}

TEST_F(ParserTest, MissingJobFileIsAUsageError) {
  Parse({"submit", "/nowhere/job.yaml"});
  EXPECT_TRUE(absl::IsInvalidArgument(session_.action().status()));
}

// 198
TEST_F(ParserTest, CasesMisspeltVerbsAndOptionsAreGuessed) {
  EXPECT_THROW(Parse({"rnu"}), CLI::ParseError);
  EXPECT_NE(UsageMessage(root_, "").find("did you mean run?"), std::string::npos) << UsageMessage(root_, "");
}

TEST_F(ParserTest, CasesOtherWordsForVerbsAreKnown) {
  EXPECT_THROW(Parse({"train"}), CLI::ParseError);
  EXPECT_NE(UsageMessage(root_, "").find("did you mean run?"), std::string::npos) << UsageMessage(root_, "");
}

TEST_F(ParserTest, CasesMisspeltOptionsAreGuessed) {
  EXPECT_THROW(Parse({"run", "--modle", "x", "--data", "a.jsonl"}), CLI::ParseError);
  EXPECT_NE(UsageMessage(root_, "").find("there is no option --modle, did you mean --model?"),
            std::string::npos)
      << UsageMessage(root_, "");
}

}  // namespace
}  // namespace ft::client
