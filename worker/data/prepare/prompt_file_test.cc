#include "worker/data/prepare/prompt_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"

namespace ft::prepare {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PromptFileTest : public ::testing::Test {
 protected:
  StatusOr<std::vector<std::string>> Read(const std::string& name, const std::string& content,
                                          size_t most = 10) {
    EXPECT_TRUE(WriteFileDurably(dir_ / name, content).ok());
    return ReadPrompts(dir_ / name, most);
  }
  std::string Error(const std::string& name, const std::string& content) {
    const Status status = Read(name, content).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(Message(status));
  }
  const ft::testing::TempDir dir_;
};

TEST_F(PromptFileTest, EachLineOfATextIsOne) {
  EXPECT_THAT(*Read("a.txt", "Who are you?\n\n  \n请介绍一下你自己\r\nlast"),
              ElementsAre("Who are you?", "请介绍一下你自己", "last"));
}

TEST_F(PromptFileTest, RecordsNameTheirPrompt) {
  EXPECT_THAT(
      *Read("a.jsonl",
            "{\"id\": 1, \"prompt\": \"one\", \"input\": \"not this\"}\n{\"Question\": \"two\", \"x\": 1}\n"),
      ElementsAre("one", "two"));
  EXPECT_THAT(*Read("b.csv", "Answer,Instruction\nyes,three\n"), ElementsAre("three"));
  EXPECT_THAT(*Read("c.jsonl", "{\"anything\": \"four\"}\n"), ElementsAre("four")) << "the only field";
}

TEST_F(PromptFileTest, WhatIsNoPromptIsNamedByItsPlace) {
  EXPECT_THAT(Error("a.jsonl", "{\"prompt\": \"one\"}\n{\"a\": \"x\", \"b\": \"y\"}\n"),
              HasSubstr("a.jsonl line 2: no field is a prompt: name one `prompt`"));
  EXPECT_THAT(Error("b.jsonl", "{\"prompt\": \"  \"}\n"), HasSubstr("b.jsonl line 1: prompt is empty"));
  EXPECT_THAT(Error("c.jsonl", "{\"prompt\": [1]}\n"), HasSubstr("c.jsonl line 1: prompt is no text"));
  EXPECT_THAT(Error("d.txt", "\n \n"), HasSubstr("d.txt"));
}

TEST_F(PromptFileTest, ThereIsALimit) {
  EXPECT_EQ(Read("a.txt", "1\n2\n3\n", 3)->size(), 3u);
  EXPECT_THAT(std::string(Message(Read("a.txt", "1\n2\n3\n4\n", 3).status())),
              HasSubstr("a.txt has more than 3 prompts: split the file"));
}

}  // namespace
}  // namespace ft::prepare
