#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/shared_dir.h"
#include "tests/support/temp_dir.h"
#include "worker/data/readers/record.h"

namespace ft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RecordReadersTest : public ::testing::Test {
 protected:
  // Every record as "row: name=value|name=value"; an error's message last.
  std::vector<std::string> Read(const std::string& name, const std::string& content) {
    EXPECT_TRUE(WriteFileDurably(dir_ / name, content).ok());
    return ReadFrom(dir_ / name);
  }
  std::vector<std::string> ReadFrom(const std::filesystem::path& path) {
    auto reader = OpenRecords(path, {});
    if (!reader.ok()) return {std::string(Message(reader.status()))};
    std::vector<std::string> found;
    for (;;) {
      auto record = (*reader)->Next();
      if (!record.ok()) {
        found.emplace_back(Message(record.status()));
        return found;
      }
      if (!record->has_value()) break;
      std::string text = StrCat((*record)->origin.row, ":");
      for (const Field& field : (*record)->fields)
        StrAppend(&text, text.ends_with(':') ? " " : "|", field.name, "=", field.text);
      found.push_back(text);
    }
    notes_ = (*reader)->notes();
    return found;
  }
  std::string Last(const std::string& name, const std::string& content) {
    const std::vector<std::string> found = Read(name, content);
    return found.empty() ? "no record" : found.back();
  }
  ft::testing::TempDir dir_;
  std::vector<std::string> notes_;
};

TEST_F(RecordReadersTest, JsonFieldsKeepOrderKindAndNesting) {
  EXPECT_THAT(
      Read("a.json", "[{\"b\": \"x\\n\", \"a\": 1, \"c\": null, \"d\": true, \"e\": [{\"f\": 1.5}]}]"),
      ElementsAre("1: b=x\n|a=1|c=|d=true|e=[{\"f\":1.5}]"));
}

TEST_F(RecordReadersTest, ArraysMayBeCalledJsonl) {
  EXPECT_THAT(Read("a.jsonl", "[{\"a\":\"1\"},\n{\"a\":\"2\"}]"), ElementsAre("1: a=1", "2: a=2"));
}

TEST_F(RecordReadersTest, BrokenJsonIsNamedByLine) {
  EXPECT_THAT(Last("a.jsonl", "{\"a\":\"1\"}\n{\"a\": nope}\n"),
              HasSubstr("a.jsonl line 2, column 7: broken JSON: \"nope\" is no JSON value"));
  EXPECT_THAT(Last("a.jsonl", "{\"a\":\"1\",\"a\":\"2\"}\n"),
              HasSubstr("a.jsonl line 1, column 10: broken JSON: key \"a\" stands twice; keep one"));
}

TEST_F(RecordReadersTest, CsvQuotesDelimitersAndLineBreaks) {
  EXPECT_THAT(Read("a.csv", "q,a\r\n\"say \"\"hi\"\"\",\"one,\ntwo\"\r\n\r\n3,4"),
              ElementsAre("2: q=say \"hi\"|a=one,\ntwo", "5: q=3|a=4"));
  EXPECT_THAT(Read("a.csv", "q;a\n1,5;2\n"), ElementsAre("2: q=1,5|a=2"));
  EXPECT_THAT(Read("a.tsv", "q\ta\n1\t2\n"), ElementsAre("2: q=1|a=2"));
  EXPECT_THAT(Read("a.csv", "\n q , a ,\n1,2,\n,,\n"), ElementsAre("3: q=1|a=2"));
  EXPECT_THAT(Read("a.csv", ""), ElementsAre());
}

TEST_F(RecordReadersTest, CsvInGb18030IsConvertedAndSaid) {
  EXPECT_THAT(Read("a.csv", "\xCE\xCA\xCC\xE2,\xB4\xF0\xB0\xB8\n\xC4\xE3\xBA\xC3,\xCA\xC0\xBD\xE7\n"),
              ElementsAre("2: 问题=你好|答案=世界"));
  EXPECT_THAT(notes_, ElementsAre("a.csv: read as GB18030 and converted to UTF-8"));
}

TEST_F(RecordReadersTest, BrokenCsvIsNamedByLine) {
  EXPECT_THAT(Last("a.csv", "q,a\n1,2\n1,2,3\n"),
              HasSubstr("a.csv line 3: this row has 3 fields, the header has 2"));
  EXPECT_THAT(Last("a.csv", "q,a\n\"1,2\n3,4\n"),
              HasSubstr("a.csv line 2: a quote opens here and is not closed"));
  EXPECT_THAT(Last("a.csv", "q,a\n\"1\"x,2\n"), HasSubstr("a.csv line 2: text follows a closing quote"));
  EXPECT_THAT(Last("a.csv", "q,q\n1,2\n"), HasSubstr("a.csv line 1: two columns are called \"q\""));
  EXPECT_THAT(Last("a.csv", "q,a\n\"" + std::string((1 << 20) + 1, 'x') + "\",2\n"),
              HasSubstr("a field is longer than 1 MiB"));
}

TEST_F(RecordReadersTest, TextIsCutAtBlankLinesOrElseAtLines) {
  EXPECT_THAT(Read("a.txt", "\none\ntwo\r\n\n \nthree\n\n"),
              ElementsAre("2: text=one\ntwo", "6: text=three"));
  EXPECT_THAT(notes_,
              ElementsAre(HasSubstr("a.txt: documents are separated by blank lines; if it is one text")));
  EXPECT_THAT(Read("a.txt", "one\ntwo"), ElementsAre("1: text=one", "2: text=two"));
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("a.txt: every line is one document")));
}

TEST_F(RecordReadersTest, UnknownKindsAreRefusedWithWhatToDo) {
  EXPECT_THAT(Last("a.doc", "x"), HasSubstr("a.doc is of no kind this version reads; give it as .json"));
  EXPECT_THAT(Last("a.jsonl", "\x1F\x8B gz"), HasSubstr("is compressed; unpack it"));
  EXPECT_THAT(Last("a.csv", "PK\x03\x04...."), HasSubstr("is a zip file"));
  ASSERT_TRUE(WriteFileDurably(dir_ / "b.csv", "q,a\n").ok());
  EXPECT_THAT(std::string(Message(OpenRecords(dir_ / "b.csv", {.sheet = "S"}).status())),
              HasSubstr("has no sheets"));
}

TEST_F(RecordReadersTest, SharedDataSetsLoadWhole) {
  const auto shared = ft::testing::SharedDir();
  if (!shared) GTEST_SKIP() << "shared/data is not beside this checkout";
  EXPECT_EQ(ReadFrom(*shared / "data/alpaca_en_demo.json").size(), 999u);
  EXPECT_EQ(ReadFrom(*shared / "data/alpaca_zh_demo.json").size(), 1000u);
  EXPECT_EQ(ReadFrom(*shared / "data/identity.json").size(), 91u);
  EXPECT_EQ(ReadFrom(*shared / "data/glaive_toolcall_en_demo.json").size(), 300u);
  EXPECT_EQ(ReadFrom(*shared / "data/c4_demo.jsonl").size(), 300u);
  EXPECT_EQ(ReadFrom(*shared / "data/wiki_demo.txt").size(), 30u);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("wiki_demo.txt: every line is one document")));
}

}  // namespace
}  // namespace ft::data
