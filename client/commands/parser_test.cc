#include "client/commands/parser.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <sstream>
#include <string>
#include <vector>

#include "client/render/width.h"
#include "client/session/session.h"

namespace ft::client {
namespace {

class ParserTest : public ::testing::Test {
 protected:
  ParserTest() { DeclareVerbs(root_, session_); }

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
  const auto all = [](CLI::App*) { return true; };
  std::string text = root_.get_formatter()->make_help(&root_, "ftctl", CLI::AppFormatMode::Normal);
  int verbs = 0;
  for (const CLI::App* verb : root_.get_subcommands(all)) {
    text += root_.get_formatter()->make_help(verb, "ftctl " + verb->get_name(), CLI::AppFormatMode::Normal);
    EXPECT_FALSE(verb->get_description().empty()) << verb->get_name();
    ++verbs;
  }
  EXPECT_GE(verbs, 28);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 80) << line;
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
