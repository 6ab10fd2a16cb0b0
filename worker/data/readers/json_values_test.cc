#include "worker/data/readers/json_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace ft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class JsonValuesTest : public ::testing::Test {
 protected:
  // "line:text" of every record, then the error's message if there is one.
  std::vector<std::string> Read(const std::string& content) {
    EXPECT_TRUE(WriteFileDurably(dir_ / "f.json", content).ok());
    std::vector<std::string> found;
    auto values = JsonValues::Open(dir_ / "f.json");
    if (!values.ok()) return {std::string(Message(values.status()))};
    for (;;) {
      auto value = values->Next();
      if (!value.ok()) {
        found.emplace_back(Message(value.status()));
        return found;
      }
      if (!value->has_value()) return found;
      EXPECT_EQ((*value)->index, static_cast<int64_t>(found.size()));
      found.push_back(StrCat((*value)->line, ":", (*value)->text));
    }
  }
  std::string Last(const std::string& content) {
    const std::vector<std::string> found = Read(content);
    return found.empty() ? std::string() : found.back();
  }
  ft::testing::TempDir dir_;
};

TEST_F(JsonValuesTest, ArraysAndLinesGiveTheSameRecords) {
  EXPECT_THAT(Read("[{\"a\":1}, {\"b\":[1,{}]}]"), ElementsAre("1:{\"a\":1}", "1:{\"b\":[1,{}]}"));
  EXPECT_THAT(Read("\n{\"a\":1}\r\n\n{\"b\":2}"), ElementsAre("2:{\"a\":1}", "4:{\"b\":2}"));
  EXPECT_THAT(Read("\xEF\xBB\xBF[\n{\n\"a\":1}\n]\n"), ElementsAre("2:{\n\"a\":1}"));
  EXPECT_THAT(Read(""), ElementsAre());
  EXPECT_THAT(Read(" [ ] \n"), ElementsAre());
}

TEST_F(JsonValuesTest, BracesInStringsDoNotCount) {
  EXPECT_THAT(Read("{\"a\":\"}\\\"{\\\\\"}\n{\"b\":\"]\"}"),
              ElementsAre("1:{\"a\":\"}\\\"{\\\\\"}", "2:{\"b\":\"]\"}"));
}

TEST_F(JsonValuesTest, RecordsLongerThanAPieceAreWhole) {
  const std::string big = "{\"a\":\"" + std::string(700000, 'x') + "\"}";
  EXPECT_THAT(Read(big + "\n" + big), ElementsAre("1:" + big, "2:" + big));
}

TEST_F(JsonValuesTest, CutOffFilesAreRefused) {
  EXPECT_THAT(Last("[{\"a\":1},\n{\"b\":"), HasSubstr("f.json line 2: this record is not closed"));
  EXPECT_THAT(Last("[{\"a\":1}"), HasSubstr("the file ends before the closing ]"));
  EXPECT_THAT(Last("{\"a\":\"x\\"), HasSubstr("line 1: this record is not closed"));
}

TEST_F(JsonValuesTest, OpenStringIsNamedByItsLine) {
  EXPECT_THAT(Last("{\"a\":1}\n{\"b\": \"x\n{\"c\":1}\n"),
              HasSubstr("f.json line 2: a string is not closed on its line"));
}

TEST_F(JsonValuesTest, WrongSeparatorsAreRefused) {
  EXPECT_THAT(Last("[{} {}]"), HasSubstr("a comma or ] is missing"));
  EXPECT_THAT(Last("[{},]"), HasSubstr("a comma stands before the closing ]"));
  EXPECT_THAT(Last("[{}] {}"), HasSubstr("text follows the closing ]"));
  EXPECT_THAT(Last("{},\n{}"), HasSubstr("line 1: a comma stands after a record; remove the commas"));
  EXPECT_THAT(Last("[1, 2]"), HasSubstr("a record must be an object"));
}

TEST_F(JsonValuesTest, DepthAndLengthAreBounded) {
  const std::string deep = "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}";
  EXPECT_THAT(Last(deep), HasSubstr("nested more than 64 levels"));
  EXPECT_THAT(Last("{\"a\":\"" + std::string(kMaxRecordBytes + 1, 'x') + "\"}"),
              HasSubstr("longer than 16 MiB"));
}

}  // namespace
}  // namespace ft::data
