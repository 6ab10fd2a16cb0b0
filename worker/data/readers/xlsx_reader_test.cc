#include "worker/data/readers/xlsx_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/shared_dir.h"
#include "tests/support/temp_dir.h"
#include "worker/data/readers/xlsx_fixture.h"

namespace ft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class XlsxReaderTest : public ::testing::Test {
 protected:
  StatusOr<std::vector<Record>> Read(const std::map<std::string, std::string>& parts,
                                     const std::string& sheet = "") {
    WriteZip(dir_ / "t.xlsx", parts);
    ASSIGN_OR_RETURN(const auto reader, OpenRecords(dir_ / "t.xlsx", {.sheet = sheet}));
    std::vector<Record> records;
    for (;;) {
      ASSIGN_OR_RETURN(std::optional<Record> record, reader->Next());
      if (!record) return records;
      records.push_back(*std::move(record));
    }
  }
  std::string ErrorOf(const std::map<std::string, std::string>& parts, const std::string& sheet = "") {
    return std::string(Message(Read(parts, sheet).status()));
  }
  // The second column of the only data row.
  std::string CellText(const std::string& cell) {
    auto records = Read(WorkbookParts(WithHeader("<row r=\"2\">" + TextCell("A2", "q") + cell + "</row>")));
    EXPECT_TRUE(records.ok()) << records.status();
    return records.ok() && records->size() == 1 ? records->at(0).fields.at(1).text : "no record";
  }
  ft::testing::TempDir dir_;
};

TEST_F(XlsxReaderTest, StringsOfEveryKind) {
  EXPECT_EQ(CellText(TextCell("B2", "a &lt;b&gt; 你")), "a <b> 你");
  EXPECT_EQ(CellText("<c r=\"B2\" t=\"s\"><v>2</v></c>"), "rich text");
  EXPECT_EQ(CellText("<c r=\"B2\" t=\"s\"><v>3</v></c>"), "two\nlines");
  EXPECT_EQ(CellText("<c r=\"B2\" t=\"str\"><f>A2</f><v>stored</v></c>"), "stored");
  EXPECT_EQ(CellText("<c r=\"B2\" t=\"inlineStr\"><is><r><t>x</t></r><r><t>y</t></r></is></c>"), "xy");
}

TEST_F(XlsxReaderTest, NumbersDatesAndBooleansAsShown) {
  EXPECT_EQ(CellText("<c r=\"B2\"><v>0.30000000000000004</v></c>"), "0.3");
  EXPECT_EQ(CellText("<c r=\"B2\" s=\"1\"><v>45235</v></c>"), "2023-11-05");
  EXPECT_EQ(CellText("<c r=\"B2\" s=\"2\" t=\"n\"><v>0.125</v></c>"), "12.50%");
  EXPECT_EQ(CellText("<c r=\"B2\" t=\"b\"><v>1</v></c>"), "TRUE");
  EXPECT_EQ(CellText("<c r=\"B2\"/>"), "");
}

TEST_F(XlsxReaderTest, RowsKeepTheirNumbersAndEmptyOnesAreNoRecords) {
  auto records = Read(WorkbookParts(WithHeader("<row r=\"3\"/><row r=\"5\">" + TextCell("B5", "only answer") +
                                               "</row>"
                                               "<row r=\"6\">" +
                                               TextCell("A6", "q") + TextCell("D6", " ") + "</row>")));
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ(records->at(0).origin.row, 5);
  EXPECT_EQ(records->at(0).origin.sheet, "Data");
  EXPECT_EQ(records->at(0).fields[0].kind, FieldKind::kNull);
  EXPECT_EQ(records->at(1).fields.size(), 2u);
}

TEST_F(XlsxReaderTest, SheetsAreChosenByName) {
  auto parts = WorkbookParts(WithHeader("<row r=\"2\">" + TextCell("A2", "q") + "</row>"));
  EXPECT_TRUE(Read(parts, "Data").ok());
  EXPECT_THAT(ErrorOf(parts, "data"), HasSubstr("t.xlsx has no sheet \"data\"; its sheets are: Data"));
}

TEST_F(XlsxReaderTest, CellsInsideMergedRangesAreMarked) {
  const std::string rows = "<row r=\"2\">" + TextCell("A2", "q") + TextCell("B2", "a") +
                           "</row><row r=\"3\">" + TextCell("A3", "r") + "</row><row r=\"4\">" +
                           TextCell("A4", "s") + TextCell("B4", "b") + "</row>";
  auto records = Read(WorkbookParts(WithHeader(rows), "<mergeCells><mergeCell ref=\"B2:B3\"/></mergeCells>"));
  ASSERT_TRUE(records.ok()) << records.status();
  for (size_t i : {0, 1}) {
    EXPECT_EQ(records->at(i).fields[0].kind, FieldKind::kText);
    EXPECT_EQ(records->at(i).fields[1].kind, FieldKind::kError);
    EXPECT_THAT(records->at(i).fields[1].text, HasSubstr("merged cells at B2:B3; unmerge them"));
  }
  EXPECT_EQ(records->at(2).fields[1].text, "b");
}

TEST_F(XlsxReaderTest, LyingMergedCellsAreRefused) {
  const auto merged = [&](const std::string& cells) {
    return ErrorOf(WorkbookParts(WithHeader("<row r=\"2\">" + TextCell("A2", "q") + "</row>"),
                                 "<mergeCells>" + cells + "</mergeCells>"));
  };
  EXPECT_THAT(merged("<mergeCell ref=\"A2:A0\"/>"),
              HasSubstr("t.xlsx sheet Data claims merged cells at \"A2:A0\""));
  EXPECT_THAT(merged("<mergeCell ref=\"A1:B9\"/><mergeCell ref=\"A1:B8\"/>"),
              HasSubstr("row 2: merged cells overlap"));
}

TEST_F(XlsxReaderTest, ErrorCellsAreMarked) {
  auto records = Read(WorkbookParts(WithHeader("<row r=\"2\">" + TextCell("A2", "q") +
                                               "<c r=\"B2\" t=\"e\"><f>1/0</f><v>#DIV/0!</v></c></row>")));
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ(records->at(0).fields[1].kind, FieldKind::kError);
  EXPECT_EQ(records->at(0).fields[1].text, "the error #DIV/0!");
}

TEST_F(XlsxReaderTest, DoubledColumnNamesAreRefused) {
  EXPECT_THAT(
      ErrorOf(WorkbookParts("<row r=\"1\">" + TextCell("A1", "x") + TextCell("B1", " x ") + "</row>")),
      HasSubstr("t.xlsx sheet Data row 1: two columns are called \"x\""));
}

TEST_F(XlsxReaderTest, DocumentTypesAreRefusedSoEntitiesNeverResolve) {
  auto parts = WorkbookParts(WithHeader(""));
  parts["xl/sharedStrings.xml"] =
      "<!DOCTYPE sst [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><sst><si><t>&a;</t></si></sst>";
  EXPECT_THAT(ErrorOf(parts), HasSubstr("part xl/sharedStrings.xml declares a document type"));
}

TEST_F(XlsxReaderTest, BombsAreRefusedByWhatTheyUnpackTo) {
  auto parts = WorkbookParts(WithHeader(""));
  parts["xl/styles.xml"] = std::string((size_t{128} << 20) + 1, ' ');
  EXPECT_THAT(ErrorOf(parts), HasSubstr("part xl/styles.xml: unpacks to more than 128 MiB"));
}

TEST_F(XlsxReaderTest, BrokenWorkbooksAreRefused) {
  auto parts = WorkbookParts(WithHeader("<row r=\"2\"><c r=\"A2\" t=\"s\"><v>99</v></c></row>"));
  EXPECT_THAT(ErrorOf(parts), HasSubstr("row 2: cell A2 points at shared string 99 of 4"));
  parts = WorkbookParts(WithHeader("<row r=\"1\"/>"));
  EXPECT_THAT(ErrorOf(parts), HasSubstr("claims to be row 1"));
  parts = WorkbookParts(WithHeader("<row r=\"2\"><c r=\"A2\"><v>1e</v></c></row>"));
  EXPECT_THAT(ErrorOf(parts), HasSubstr("cell A2 holds \"1e\" where a number belongs"));
  parts["xl/workbook.xml"] = "<workbook><sheets>";
  EXPECT_THAT(ErrorOf(parts), HasSubstr("part xl/workbook.xml is broken near byte"));
  parts.erase("xl/workbook.xml");
  EXPECT_THAT(ErrorOf(parts), HasSubstr("has no part xl/workbook.xml"));
}

TEST_F(XlsxReaderTest, CutOffAndOldFilesAreRefused) {
  WriteZip(dir_ / "t.xlsx", WorkbookParts(WithHeader("")));
  const std::string whole = *ReadFile(dir_ / "t.xlsx");
  ASSERT_TRUE(WriteFileDurably(dir_ / "cut.xlsx", whole.substr(0, whole.size() / 2)).ok());
  EXPECT_THAT(std::string(Message(OpenRecords(dir_ / "cut.xlsx", {}).status())),
              HasSubstr("cut.xlsx is not a whole zip file"));
  ASSERT_TRUE(WriteFileDurably(dir_ / "old.xlsx", "\xD0\xCF\x11\xE0 old").ok());
  EXPECT_THAT(std::string(Message(OpenRecords(dir_ / "old.xlsx", {}).status())),
              HasSubstr("old .xls or password-protected"));
}

TEST(XlsxSharedDataTest, MedicationQaHasAllItsRows) {
  const auto shared = ft::testing::SharedDir();
  if (!shared) GTEST_SKIP() << "shared/data/medication_qa.xlsx is not beside this checkout";
  auto reader = OpenRecords(*shared / "data/medication_qa.xlsx", {});
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_THAT((*reader)->columns(),
              ElementsAre("Question", "Focus (Drug)", "Question Type", "Answer", "Section Title", "URL"));
  int64_t count = 0;
  for (;;) {
    auto record = (*reader)->Next();
    ASSERT_TRUE(record.ok()) << record.status();
    if (!record->has_value()) break;
    if (count == 0) {
      EXPECT_EQ((*record)->Find("Question")->text, "how does rivatigmine and otc sleep medicine interact");
    }
    ++count;
    EXPECT_EQ((*record)->origin.row, count + 1);
  }
  EXPECT_EQ(count, 690);
}

}  // namespace
}  // namespace ft::data
