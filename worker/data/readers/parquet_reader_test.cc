#include "worker/data/readers/parquet_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/data/readers/parquet_fixture.h"

namespace ft::data {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int kUtf8 = kParquetUtf8, kMapType = 1, kListType = kParquetList;

// A column of texts, none null.
ColumnToWrite Texts(const std::vector<std::string>& values) {
  return {.pages = {{.entries = static_cast<int64_t>(values.size()), .values = PlainTexts(values)}}};
}

class ParquetReaderTest : public ::testing::Test {
 protected:
  // Every record as "row: name=value|name=value"; an error's message last.
  std::vector<std::string> ReadBytes(const std::string& bytes) {
    std::ofstream(dir_ / "a.parquet", std::ios::binary) << bytes;
    auto reader = OpenRecords(dir_ / "a.parquet", {});
    if (!reader.ok()) return {std::string(Message(reader.status()))};
    std::vector<std::string> found;
    for (;;) {
      auto record = (*reader)->Next();
      if (!record.ok()) {
        found.emplace_back(Message(record.status()));
        return found;
      }
      if (!record->has_value()) return found;
      std::string text = StrCat((*record)->origin.row, ":");
      for (const Field& field : (*record)->fields) {
        kinds_[field.name] = field.kind;
        StrAppend(&text, text.ends_with(':') ? " " : "|", field.name, "=", field.text);
      }
      found.push_back(text);
    }
  }
  std::vector<std::string> Read(const FileToWrite& file) { return ReadBytes(ParquetBytes(file)); }
  // The values of one column, required, of one page.
  std::vector<std::string> ReadValues(ElementToWrite element, const PageToWrite& page) {
    element.name = "v";
    element.repetition = 0;
    const ColumnToWrite column{.type = element.type, .pages = {page}};
    return Read({.top_columns = 1, .elements = {element}, .groups = {{page.entries, {column}}}});
  }
  std::string Last(const FileToWrite& file) {
    const std::vector<std::string> found = Read(file);
    return found.empty() ? "no record" : found.back();
  }
  ft::testing::TempDir dir_;
  std::map<std::string, FieldKind> kinds_;
};

FileToWrite QuestionsAndAnswers() {
  return {
      .top_columns = 2,
      .elements = {{.name = "q", .repetition = 0, .converted = kUtf8}, {.name = "a", .converted = kUtf8}},
      .groups = {
          {2,
           {Texts({"one", "two"}),
            {.pages =
                 {{.entries = 2, .values = PlainTexts({"答案"}), .definitions = ParquetRunBytes({1, 0})}}}}},
          {1,
           {Texts({"three"}),
            {.pages = {
                 {.entries = 1, .values = PlainTexts({"drei"}), .definitions = ParquetRunBytes({1})}}}}}}};
}

TEST_F(ParquetReaderTest, RowsOfAllGroupsAreRecordsAndNullsAreNull) {
  EXPECT_THAT(Read(QuestionsAndAnswers()),
              ElementsAre("1: q=one|a=答案", "2: q=two|a=", "3: q=three|a=drei"));
  const auto reader = OpenRecords(dir_ / "a.parquet", {});
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE((*reader)->Next().ok());
  const auto second = (*reader)->Next();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ((*second)->fields[1].kind, FieldKind::kNull);
  EXPECT_EQ(Describe((*second)->origin), (dir_ / "a.parquet").string() + " row 2");
}

TEST_F(ParquetReaderTest, PagesOfEachCodecAndVersion) {
  for (const int codec : {0, 1, 2, 6}) {
    for (const bool v2 : {false, true}) {
      FileToWrite file = QuestionsAndAnswers();
      for (GroupToWrite& group : file.groups) {
        for (ColumnToWrite& column : group.columns) {
          column.codec = codec;
          for (PageToWrite& page : column.pages) page.v2 = v2;
        }
      }
      EXPECT_THAT(Read(file), ElementsAre("1: q=one|a=答案", "2: q=two|a=", "3: q=three|a=drei"))
          << "codec " << codec << " version " << (v2 ? 2 : 1);
    }
  }
  FileToWrite brotli = QuestionsAndAnswers();
  brotli.groups[0].columns[0].codec = 4;
  EXPECT_THAT(Last(brotli),
              HasSubstr("a.parquet: column \"q\": its pages are packed with brotli, which is not read; "
                        "write it with snappy, gzip or zstd"));
}

TEST_F(ParquetReaderTest, ValuesFromADictionaryOverSeveralPages) {
  const ColumnToWrite column{
      .pages = {{.entries = 2, .values = PlainTexts({"yes", "no"}), .dictionary = true},
                {.entries = 3, .values = '\1' + ParquetRunBytes({1, 1, 0}), .encoding = 8},
                {.entries = 0, .values = "", .encoding = 8},
                // Bits in groups of eight: 0 1 0.
                {.entries = 3, .values = std::string("\1\3\2", 3), .encoding = 2},
                {.entries = 1, .values = PlainTexts({"plain"})}}};
  const FileToWrite file{.top_columns = 1,
                         .elements = {{.name = "v", .repetition = 0, .converted = kUtf8}},
                         .groups = {{7, {column}}}};
  EXPECT_THAT(Read(file),
              ElementsAre("1: v=no", "2: v=no", "3: v=yes", "4: v=yes", "5: v=no", "6: v=yes", "7: v=plain"));
}

// The examples of Encodings.md.
TEST_F(ParquetReaderTest, DeltasAreAddedUp) {
  EXPECT_THAT(
      ReadValues({.type = 2}, {.entries = 8, .values = "\x08\x01\x08\x0E\x03\x02\xC0\x3F", .encoding = 5}),
      ElementsAre("1: v=7", "2: v=5", "3: v=3", "4: v=1", "5: v=2", "6: v=3", "7: v=4", "8: v=5"));
  EXPECT_THAT(ReadValues({.type = 1},
                         {.entries = 5, .values = std::string("\x08\x01\x05\x02\x02\x00", 6), .encoding = 5}),
              ElementsAre("1: v=1", "2: v=2", "3: v=3", "4: v=4", "5: v=5"));
  EXPECT_THAT(ReadValues({.converted = kUtf8},
                         {.entries = 4,
                          .values = std::string("\x08\x01\x04\x0A\x00\x01\x02", 7) + "HelloWorldFoobarABCDEF",
                          .encoding = 6}),
              ElementsAre("1: v=Hello", "2: v=World", "3: v=Foobar", "4: v=ABCDEF"));
  const std::string kept("\x08\x01\x04\x00\x03\x03\x44\x01\x00", 9),
      suffixes("\x08\x01\x04\x08\x03\x03\x70\x00\x00", 9);
  EXPECT_THAT(ReadValues({.converted = kUtf8},
                         {.entries = 4, .values = kept + suffixes + "axislebabbleyhood", .encoding = 7}),
              ElementsAre("1: v=axis", "2: v=axle", "3: v=babble", "4: v=babyhood"));
}

TEST_F(ParquetReaderTest, NumbersAndTruthValuesAreWrittenAsInJson) {
  EXPECT_THAT(ReadValues({.type = 5}, {.entries = 4, .values = PlainNumbers<double>({0.1, 3, 1e20, 100000})}),
              ElementsAre("1: v=0.1", "2: v=3.0", "3: v=1e+20", "4: v=100000.0"));
  EXPECT_THAT(ReadValues({.type = 4}, {.entries = 2, .values = PlainNumbers<float>({0.1f, -2.5f})}),
              ElementsAre("1: v=0.1", "2: v=-2.5"));
  std::string split;
  const std::string stored = PlainNumbers<float>({0.1f, -2.5f});
  for (size_t i = 0; i < 4; ++i) split += {stored[i], stored[4 + i]};
  EXPECT_THAT(ReadValues({.type = 4}, {.entries = 2, .values = split, .encoding = 9}),
              ElementsAre("1: v=0.1", "2: v=-2.5"));
  EXPECT_THAT(ReadValues({.type = 5}, {.entries = 1, .values = PlainNumbers<double>({std::nan("")})}),
              ElementsAre("1: v="));
  EXPECT_EQ(kinds_["v"], FieldKind::kNull);
  EXPECT_THAT(ReadValues({.type = 0}, {.entries = 3, .values = "\5"}),
              ElementsAre("1: v=true", "2: v=false", "3: v=true"));
  EXPECT_THAT(
      ReadValues({.type = 0}, {.entries = 3, .values = Plain32(2) + std::string("\6\1"), .encoding = 3}),
      ElementsAre("1: v=true", "2: v=true", "3: v=true"));
  EXPECT_EQ(kinds_["v"], FieldKind::kBool);
  constexpr int kUint32 = 13;
  EXPECT_THAT(
      ReadValues({.type = 1, .converted = kUint32}, {.entries = 1, .values = PlainNumbers<int32_t>({-1})}),
      ElementsAre("1: v=4294967295"));
  EXPECT_EQ(kinds_["v"], FieldKind::kNumber);
}

TEST_F(ParquetReaderTest, DatesTimesDecimalsAndIdentifiersAreWrittenOut) {
  constexpr int kDecimal = 5, kDate = 6, kTimeMillis = 7, kTimestampMillis = 9;
  EXPECT_THAT(ReadValues({.type = 1, .converted = kDate},
                         {.entries = 3, .values = PlainNumbers<int32_t>({19666, -1, 2932897})}),
              ElementsAre("1: v=2023-11-05", "2: v=1969-12-31", "3: v=a value that is no date"));
  EXPECT_THAT(ReadValues({.type = 2, .converted = kTimestampMillis},
                         {.entries = 2, .values = PlainNumbers<int64_t>({1699194600250, -1})}),
              ElementsAre("1: v=2023-11-05 14:30:00.25", "2: v=1969-12-31 23:59:59.999"));
  ElementToWrite nanos{.type = 2, .has_logical = true};
  nanos.logical.Struct(8, ThriftStruct().Bool(1, true).Struct(2, ThriftStruct().Struct(3, {})));
  EXPECT_THAT(ReadValues(nanos, {.entries = 1, .values = PlainNumbers<int64_t>({1699194600000000001})}),
              ElementsAre("1: v=2023-11-05 14:30:00.000000001"));
  EXPECT_THAT(ReadValues({.type = 1, .converted = kTimeMillis},
                         {.entries = 1, .values = PlainNumbers<int32_t>({3723000})}),
              ElementsAre("1: v=01:02:03"));
  EXPECT_THAT(ReadValues({.type = 2, .converted = kDecimal, .scale = 2},
                         {.entries = 3, .values = PlainNumbers<int64_t>({12345, -5, 0})}),
              ElementsAre("1: v=123.45", "2: v=-0.05", "3: v=0.00"));
  EXPECT_THAT(ReadValues({.type = 7, .converted = kDecimal, .length = 3, .scale = 1},
                         {.entries = 2, .values = std::string("\xFF\xFF\x9C\0\1\0", 6)}),
              ElementsAre("1: v=-10.0", "2: v=25.6"));
  ElementToWrite uuid{.type = 7, .length = 16, .has_logical = true};
  uuid.logical.Struct(14, {});
  EXPECT_THAT(ReadValues(uuid, {.entries = 1, .values = "0123456789abcdef"}),
              ElementsAre("1: v=30313233-3435-3637-3839-616263646566"));
  // Spark's old timestamps: the nanoseconds of the day, and the Julian day.
  EXPECT_THAT(ReadValues({.type = 3}, {.entries = 1,
                                       .values = PlainNumbers<int64_t>({52200000000000}) + Plain32(2460254)}),
              ElementsAre("1: v=2023-11-05 14:30:00"));
}

TEST_F(ParquetReaderTest, ListsOfRecordsAreWhatTheyWouldBeInJson) {
  EXPECT_THAT(
      Read(ParquetMessages()),
      ElementsAre(R"(1: messages=[{"role":"user","content":"hi"},{"role":"assistant","content":null}])",
                  "2: messages=", "3: messages=[]"));
  EXPECT_EQ(kinds_["messages"], FieldKind::kNested);
}

TEST_F(ParquetReaderTest, ListsAreReadInAllTheirForms) {
  const ColumnToWrite items{.pages = {{.entries = 3,
                                       .values = PlainTexts({"x", "y"}),
                                       .repetitions = ParquetRunBytes({0, 1, 0}),
                                       .definitions = ParquetRunBytes({1, 1, 0})}}};
  // A repeated column without a group.
  EXPECT_THAT(Read({.top_columns = 1,
                    .elements = {{.name = "v", .repetition = 2, .converted = kUtf8}},
                    .groups = {{2, {items}}}}),
              ElementsAre(R"(1: v=["x","y"])", "2: v=[]"));
  // A group whose repeated column is the item itself.
  EXPECT_THAT(Read({.top_columns = 1,
                    .elements = {{.name = "v", .repetition = 0, .children = 1, .converted = kListType},
                                 {.name = "item", .repetition = 2, .converted = kUtf8}},
                    .groups = {{2, {items}}}}),
              ElementsAre(R"(1: v=["x","y"])", "2: v=[]"));
  // An old writer's record called array, of one member.
  EXPECT_THAT(Read({.top_columns = 1,
                    .elements = {{.name = "v", .repetition = 0, .children = 1, .converted = kListType},
                                 {.name = "array", .repetition = 2, .children = 1},
                                 {.name = "name", .repetition = 0, .converted = kUtf8}},
                    .groups = {{2, {items}}}}),
              ElementsAre(R"(1: v=[{"name":"x"},{"name":"y"}])", "2: v=[]"));
  // A list of lists: [[x], [y]] and [].
  const ColumnToWrite nested{.pages = {{.entries = 3,
                                        .values = PlainTexts({"x", "y"}),
                                        .repetitions = ParquetRunBytes({0, 1, 0}),
                                        .definitions = ParquetRunBytes({2, 2, 0})}}};
  EXPECT_THAT(Read({.top_columns = 1,
                    .elements = {{.name = "v", .repetition = 0, .children = 1, .converted = kListType},
                                 {.name = "list", .repetition = 2, .children = 1},
                                 {.name = "element", .repetition = 0, .children = 1, .converted = kListType},
                                 {.name = "list", .repetition = 2, .children = 1},
                                 {.name = "element", .repetition = 0, .converted = kUtf8}},
                    .groups = {{2, {nested}}}}),
              ElementsAre(R"(1: v=[["x"],["y"]])", "2: v=[]"));
}

TEST_F(ParquetReaderTest, MapsAreObjects) {
  const ColumnToWrite keys{.pages = {{.entries = 3,
                                      .values = PlainTexts({"b", "a"}),
                                      .repetitions = ParquetRunBytes({0, 1, 0}),
                                      .definitions = ParquetRunBytes({1, 1, 0})}}};
  const ColumnToWrite values{.type = 2,
                             .pages = {{.entries = 3,
                                        .values = PlainNumbers<int64_t>({7}),
                                        .repetitions = ParquetRunBytes({0, 1, 0}),
                                        .definitions = ParquetRunBytes({2, 1, 0})}}};
  FileToWrite file{.top_columns = 1,
                   .elements = {{.name = "m", .repetition = 0, .children = 1, .converted = kMapType},
                                {.name = "key_value", .repetition = 2, .children = 2},
                                {.name = "key", .repetition = 0, .converted = kUtf8},
                                {.name = "value", .type = 2}},
                   .groups = {{2, {keys, values}}}};
  EXPECT_THAT(Read(file), ElementsAre(R"(1: m={"b":7,"a":null})", "2: m={}"));
  file.groups[0].columns[0].pages[0].values = PlainTexts({"b", "b"});
  EXPECT_THAT(Read(file), ElementsAre("1: m=a map that has a key twice", "2: m={}"));
}

TEST_F(ParquetReaderTest, WhatIsNotReadIsAnErrorOnlyWhereItIsUsed) {
  FileToWrite file = QuestionsAndAnswers();
  ElementToWrite variant{.name = "x", .repetition = 0, .has_logical = true};
  variant.logical.Struct(16, {});
  file.elements.push_back(variant);
  file.elements.push_back({.name = "y", .repetition = 0});
  file.top_columns = 4;
  for (GroupToWrite& group : file.groups) {
    group.columns.push_back(Texts(std::vector<std::string>(static_cast<size_t>(group.rows), "?")));
    group.columns.push_back(Texts(std::vector<std::string>(static_cast<size_t>(group.rows), "\xFF\xD8")));
  }
  EXPECT_THAT(
      Read(file)[0],
      "1: q=one|a=答案|x=values of the kind VARIANT, which is not read|y=bytes that are no text in UTF-8");
  EXPECT_EQ(kinds_["x"], FieldKind::kError);
  EXPECT_EQ(kinds_["y"], FieldKind::kError);
  FileToWrite messages = ParquetMessages();
  messages.groups[0].columns[1].pages[0].values = PlainTexts({"\xFF"});
  EXPECT_THAT(Read(messages),
              ElementsAre("1: messages=bytes that are no text in UTF-8", "2: messages=", "3: messages=[]"));
}

TEST_F(ParquetReaderTest, FilesThatAreNoneSayWhatTheyAre) {
  EXPECT_THAT(ReadBytes("version https://git-lfs.github.com/spec/v1\n"),
              ElementsAre(HasSubstr(
                  "a.parquet is no parquet file, whatever its name says; download or copy it again")));
  EXPECT_THAT(ReadBytes("PARE" + std::string(20, 'x') + "PARE"),
              ElementsAre(HasSubstr("is encrypted; write it without encryption")));
  EXPECT_THAT(ReadBytes("PAR1" + Plain32(0) + "PAR1"),
              ElementsAre(HasSubstr("is damaged: its description cannot be read")));
  EXPECT_THAT(ReadBytes("PAR1" + Plain32(4000000000) + "PAR1"),
              ElementsAre(HasSubstr("it was probably cut off")));
  FileToWrite twice = QuestionsAndAnswers();
  twice.elements[1].name = "q";
  EXPECT_THAT(Last(twice), HasSubstr("has two columns that are called \"q\"; rename one of them"));
  FileToWrite none = QuestionsAndAnswers();
  none.elements.pop_back();
  EXPECT_THAT(Last(none), HasSubstr("is damaged: its columns make no tree"));
}

TEST_F(ParquetReaderTest, FilesCutOffAtAnyLengthAreRefused) {
  const std::string whole = ParquetBytes(ParquetMessages());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(ReadBytes(whole.substr(0, size)),
                ElementsAre(AnyOf(HasSubstr("is no whole parquet file: it was probably cut off"),
                                  HasSubstr("is no parquet file, whatever its name says"))))
        << size;
  }
}

// Whatever one byte becomes, the file is read or refused.
TEST_F(ParquetReaderTest, ADamagedByteAnywhereIsReadOrRefused) {
  const std::string whole = ParquetBytes(ParquetMessages());
  int refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {1, 0x80, 0xFF}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      const std::vector<std::string> found = ReadBytes(bytes);
      refused += !found.empty() && found.back().find("a.parquet") != std::string::npos;
    }
  }
  EXPECT_GT(refused, static_cast<int>(whole.size()));
}

TEST_F(ParquetReaderTest, LiesInsidePagesAreRefusedByColumn) {
  const auto with = [](const PageToWrite& page) {
    FileToWrite file = QuestionsAndAnswers();
    file.groups[0].columns[1].pages = {page};
    return file;
  };
  const std::string both = ParquetRunBytes({1, 1});
  EXPECT_THAT(Last(with({.entries = 2, .values = PlainTexts({"x"}), .definitions = both})),
              HasSubstr("a.parquet: column \"a\": a page holds fewer values than it says"));
  EXPECT_THAT(Last(with({.entries = 2, .values = Plain32(4000000000) + "x", .definitions = both})),
              HasSubstr("fewer values"));
  EXPECT_THAT(Last(with({.entries = 2, .values = "", .definitions = ParquetRunBytes({2, 2})})),
              HasSubstr("its levels are damaged"));
  EXPECT_THAT(Last(with({.entries = 1, .values = PlainTexts({"x"}), .definitions = ParquetRunBytes({1})})),
              HasSubstr("it ends before the file's rows do"));
  EXPECT_THAT(
      Last(with(
          {.entries = 3, .values = PlainTexts({"x", "y", "z"}), .definitions = ParquetRunBytes({1, 1, 1})})),
      HasSubstr("it holds more than the file has rows"));
  EXPECT_THAT(Last(with({.entries = 2, .values = '\1' + both, .definitions = both, .encoding = 8})),
              HasSubstr("its dictionary is missing"));
  EXPECT_THAT(Last(with({.entries = 2, .values = "", .definitions = both, .encoding = 4})),
              HasSubstr("its values are written in encoding 4, which is not read"));
  FileToWrite apart = ParquetMessages();
  apart.groups[0].columns[1].pages[0].repetitions = ParquetRunBytes({0, 0, 0, 0});
  EXPECT_THAT(
      Last(apart),
      HasSubstr("column \"messages.list.element.content\": it does not fit the other columns in row"));
}

TEST_F(ParquetReaderTest, SizesAreCheckedBeforeMemoryIsTaken) {
  for (const int codec : {1, 2, 6}) {
    FileToWrite file = QuestionsAndAnswers();
    file.groups[0].columns[0].codec = codec;
    file.groups[0].columns[0].pages[0].claimed_size = int64_t{255} << 20;
    EXPECT_THAT(Last(file), HasSubstr("column \"q\": a page cannot be unpacked")) << codec;
    file.groups[0].columns[0].pages[0].claimed_size = int64_t{1} << 30;
    EXPECT_THAT(Last(file), HasSubstr("a page is longer than 256 MiB")) << codec;
  }
  const ColumnToWrite dictionary{
      .pages = {{.entries = 1 << 30, .values = PlainTexts({"x"}), .dictionary = true},
                {.entries = 1, .values = std::string("\0\2\0", 3), .encoding = 8}}};
  EXPECT_THAT(
      Last({.top_columns = 1, .elements = {{.name = "v", .repetition = 0}}, .groups = {{1, {dictionary}}}}),
      HasSubstr("its dictionary cannot be read"));
}

TEST_F(ParquetReaderTest, ARecordAndAFileHaveABound) {
  const std::string megabyte(1 << 20, 'x');
  // One text, many times in one list.
  const auto many = [&](int items) {
    const ColumnToWrite column{
        .codec = 1,
        .pages = {{.entries = 1, .values = PlainTexts({megabyte}), .dictionary = true},
                  {.entries = items,
                   .values = std::string(1, '\0') + ThriftNumber(static_cast<uint64_t>(items) << 1),
                   .repetitions = ThriftNumber(1 << 1) + std::string(1, '\0') +
                                  ThriftNumber(static_cast<uint64_t>(items - 1) << 1) + '\1',
                   .definitions = ThriftNumber(static_cast<uint64_t>(items) << 1) + '\1',
                   .encoding = 8}}};
    return FileToWrite{.top_columns = 1,
                       .elements = {{.name = "v", .repetition = 2, .converted = kUtf8}},
                       .groups = {{1, {column}}}};
  };
  EXPECT_THAT(Read(many(15)), SizeIs(1));
  EXPECT_THAT(Last(many(17)), HasSubstr("a.parquet row 1: this record is longer than 16 MiB; split it"));
  // The same text in a thousand rows and more.
  const int rows = 1100;
  const ColumnToWrite column{
      .codec = 1,
      .pages = {{.entries = 1, .values = PlainTexts({megabyte}), .dictionary = true},
                {.entries = rows,
                 .values = std::string(1, '\0') + ThriftNumber(static_cast<uint64_t>(rows) << 1),
                 .encoding = 8}}};
  const FileToWrite file{.top_columns = 1,
                         .elements = {{.name = "v", .repetition = 0, .converted = kUtf8}},
                         .groups = {{rows, {column}}}};
  EXPECT_TRUE(WriteFileDurably(dir_ / "b.parquet", ParquetBytes(file)).ok());
  const auto reader = OpenRecords(dir_ / "b.parquet", {});
  ASSERT_TRUE(reader.ok());
  Status last;
  for (int row = 0; row < rows && last.ok(); ++row) last = (*reader)->Next().status();
  EXPECT_THAT(std::string(Message(last)),
              HasSubstr("has given 1,000 times its own size; save it as .jsonl if that is right"));
}

}  // namespace
}  // namespace ft::data
