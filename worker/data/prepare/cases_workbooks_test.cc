// Workbooks of the wild (shared/cases 40 to 59): what the sheet shows is learnt, and what is left out is
// said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "worker/data/prepare/cases_fixture.h"
#include "worker/data/readers/xlsx_fixture.h"

namespace ft::prepare {
namespace {

using data::TextCell;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Parts = std::map<std::string, std::string>;

std::string Row(int number, const std::vector<std::string>& texts, const std::string& attributes = "") {
  std::string row = StrCat("<row r=\"", number, "\"", attributes, ">");
  char column = 'A';
  for (const std::string& text : texts) {
    if (!text.empty()) row += TextCell(StrCat(std::string(1, column), number), text);
    ++column;
  }
  return row + "</row>";
}

class CasesWorkbooks : public CasesFixture<ft::testing::TempDir> {
 protected:
  std::string Book(const Parts& parts) {
    data::WriteZip(dir_ / "q.xlsx", parts);
    source().source = (dir_ / "q.xlsx").string();
    return Report();
  }
  std::string Sheet(const std::string& rows, const std::string& before = "", const std::string& after = "") {
    Parts parts = data::WorkbookParts(rows, after);
    parts["xl/worksheets/sheet1.xml"] =
        StrCat("<worksheet>", before, "<sheetData>", rows, "</sheetData>", after, "</worksheet>");
    return Book(parts);
  }
  // Two sheets, the attributes of the first.
  static Parts TwoSheets(const std::string& first, const std::string& second, const std::string& attributes) {
    Parts parts = data::WorkbookParts(first);
    parts["xl/workbook.xml"] =
        StrCat("<workbook xmlns:r=\"r\"><sheets><sheet name=\"First\" sheetId=\"1\" ", attributes,
               " r:id=\"r1\"/><sheet name=\"QA\" sheetId=\"2\" r:id=\"r4\"/></sheets></workbook>");
    const std::string type = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet";
    std::string& links = parts["xl/_rels/workbook.xml.rels"];
    links.insert(links.rfind("</Relationships>"),
                 StrCat("<Relationship Id=\"r4\" Type=\"", type, "\" Target=\"worksheets/sheet2.xml\"/>"));
    parts["xl/worksheets/sheet2.xml"] = StrCat("<worksheet><sheetData>", second, "</sheetData></worksheet>");
    return parts;
  }
  // What is learnt of a number under a format code.
  std::string Shown(const std::string& value, const std::string& code) {
    std::string escaped;
    for (const char c : code)
      escaped += c == '"' ? "&quot;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
    Parts parts = data::WorkbookParts(Row(1, {"Question", "Answer"}) + "<row r=\"2\">" + TextCell("A2", "q") +
                                      "<c r=\"B2\" s=\"1\"><v>" + value + "</v></c></row>");
    parts["xl/styles.xml"] =
        StrCat("<styleSheet><numFmts><numFmt numFmtId=\"164\" formatCode=\"", escaped,
               "\"/></numFmts><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"164\"/></cellXfs></styleSheet>");
    const std::string shown = Shorter(Book(parts));
    const std::string front = "user: q | assistant: [";
    return shown.starts_with(front) ? shown.substr(front.size(), shown.size() - front.size() - 1) : shown;
  }
};

TEST_F(CasesWorkbooks, NumbersAreRoundedAsTheSheetShowsThem) {
  EXPECT_EQ(Shown("2.5", "0"), "3");
  EXPECT_EQ(Shown("1.005", "0.00"), "1.01");
  EXPECT_EQ(Shown("0.125", "0.00"), "0.13");
  EXPECT_EQ(Shown("1.065", "0%"), "107%");
  EXPECT_EQ(Shown("10.155", "0.00"), "10.16");
  EXPECT_EQ(Shown("-2.5", "0"), "-3");
  EXPECT_EQ(Shown("2.675", "#,##0.00"), "2.68");
  EXPECT_EQ(Shown("0.5", "0"), "1");
  EXPECT_EQ(Shown("1234.5", "#,##0"), "1,235");
  EXPECT_EQ(Shown("4.35", "0.0"), "4.4");
  // Others of the kind: carries, exponents, thousands, percentages with digits.
  EXPECT_EQ(Shown("9.995", "0.00"), "10.00");
  EXPECT_EQ(Shown("0.4", "0"), "0");
  EXPECT_EQ(Shown("9995000", "0.00E+00"), "1.00E+07");
  EXPECT_EQ(Shown("1.25e-5", "0.0E+00"), "1.3E-05");
  EXPECT_EQ(Shown("12345", "##0.0E+0"), "12.3E+3");
  EXPECT_EQ(Shown("1500", "0,"), "2");
  EXPECT_EQ(Shown("0.01005", "0.00%"), "1.01%");
}

TEST_F(CasesWorkbooks, FormatsOfTheWild) {
  EXPECT_EQ(Shown("45352", "yyyy-mm-dd"), "2024-03-01");
  EXPECT_EQ(Shown("1234567.891", "#,##0.00"), "1,234,567.89");
  EXPECT_EQ(Shown("0.256", "0.0%"), "25.6%");
  EXPECT_EQ(Shown("1.5", "# ?/?"), "1 1/2");
  EXPECT_EQ(Shown("12345678901", "0"), "12345678901");
  EXPECT_EQ(Shown("-5", "0;[Red]-0"), "-5");
  EXPECT_EQ(Shown("0.75", "h:mm AM/PM"), "6:00 PM");
  EXPECT_EQ(Shown("1.5", "[h]:mm"), "36:00");
  EXPECT_EQ(Shown("7", "000"), "007");
  EXPECT_EQ(Shown("12", "\"¥\"#,##0.00"), "¥12.00");
  EXPECT_EQ(Shown("5", "0\" kg\""), "5 kg");
  EXPECT_EQ(Shown("1234", "0.00E+00"), "1.23E+03");
  EXPECT_EQ(Shown("0.30000000000000004", "General"), "0.3");
  EXPECT_EQ(Shown("150", "[>=100]\"high\";\"low\""), "high");
  EXPECT_EQ(Shown("15", "[>=100]\"high\";\"low\""), "low");
  EXPECT_THAT(Report(), Not(HasSubstr("plainly")));
  EXPECT_EQ(Shown("3", "[DBNum1][$-804]General"), "3");
  EXPECT_THAT(Report(),
              HasSubstr("q.xlsx: 1 number stands plainly, not as the sheet shows it; the first is B2, whose "
                        "format is [DBNum1][$-804]General"));
}

TEST_F(CasesWorkbooks, EscapesInTheResultOfAFormulaAreDecoded) {
  const auto answer = [&](const std::string& cell) {
    return Shorter(
        Sheet(Row(1, {"Question", "Answer"}) + "<row r=\"2\">" + TextCell("A2", "q") + cell + "</row>"));
  };
  EXPECT_EQ(answer("<c r=\"B2\" t=\"str\"><f>x</f><v>Line one_x000D_\nLine two</v></c>"),
            "user: q | assistant: [Line one\nLine two]");
  EXPECT_EQ(answer("<c r=\"B2\" t=\"str\"><f>x</f><v>_x005F_x000D_</v></c>"),
            "user: q | assistant: [_x000D_]");
  EXPECT_EQ(answer("<c r=\"B2\" s=\"1\" t=\"d\"><v>2024-03-01T00:00:00</v></c>"),
            "user: q | assistant: [2024-03-01]");
}

TEST_F(CasesWorkbooks, HiddenSheetsAreNotRead) {
  const std::string draft = Row(1, {"Question", "Answer"}) + Row(2, {"OLD draft?", "Do not use."});
  const std::string final_rows = Row(1, {"Question", "Answer"}) + Row(2, {"Capital of Peru?", "Lima."});
  for (const char* state : {"hidden", "veryHidden"}) {
    const std::string report = Book(TwoSheets(draft, final_rows, StrCat("state=\"", state, "\"")));
    EXPECT_EQ(Shorter(report), "user: Capital of Peru? | assistant: [Lima.]");
    EXPECT_THAT(report, HasSubstr("q.xlsx: read sheet QA, not: First (hidden)"));
  }
  source().sheet = "First";
  EXPECT_THAT(Report(), AllOf(HasSubstr("OLD draft?"), HasSubstr("read sheet First (hidden), not: QA")));
  source().sheet = "";
  Parts all = data::WorkbookParts(draft);
  all["xl/workbook.xml"] =
      "<workbook xmlns:r=\"r\"><sheets><sheet name=\"A\" state=\"hidden\" r:id=\"r1\"/></sheets></workbook>";
  EXPECT_THAT(Book(all), HasSubstr("q.xlsx has only hidden sheets; name one with sheet:, of: A (hidden)"));
}

TEST_F(CasesWorkbooks, CellsBeyondTheHeaderAreRefusedByRow) {
  EXPECT_THAT(
      Sheet(Row(1, {"Question", "Answer"}) + Row(2, {"When open?", "From nine", "closed on Mondays"})),
      HasSubstr("q.xlsx sheet Data row 2: cell C2 stands to the right of the header in row 1, which names 2 "
                "columns; name the column there, or clear the cell"));
  EXPECT_THAT(
      Sheet(Row(1, {"Question", "", "Answer"}) + Row(2, {"q", "aside", "a"})),
      AllOf(HasSubstr("⟦a<|im_end|>⟧"), HasSubstr("q.xlsx: column B has no name in row 1 and was not read")));
}

TEST_F(CasesWorkbooks, TitlesAboveTheHeaderAreSkippedAndSaid) {
  const std::string report =
      Sheet(Row(1, {"Customer questions 2024"}) + Row(2, {"Question", "Answer", "Owner"}) +
                Row(3, {"Capital of Peru?", "Lima.", "Ann"}),
            "", "<mergeCells><mergeCell ref=\"A1:C1\"/></mergeCells>");
  EXPECT_EQ(Shorter(report), "user: Capital of Peru? | assistant: [Lima.]");
  EXPECT_THAT(report, HasSubstr("q.xlsx: row 1 (Customer questions 2024) was taken as a title and left out"));
  // A column of texts with a remark beside one of them has no titles.
  EXPECT_THAT(Sheet(Row(1, {"text"}) + Row(2, {"One."}) + Row(3, {"Two.", "remark"}) + Row(4, {"Three."})),
              HasSubstr("row 3: cell B3 stands to the right of the header in row 1"));
}

TEST_F(CasesWorkbooks, MergedCellsAreRefusedOnlyWhereTheyAreUsed) {
  source().map = recipe::ColumnMap{.input = "Question", .output = "Answer"};
  const std::string rows =
      Row(1, {"Question", "Answer", "", "Legend"}) + Row(2, {"q", "a", "", "colours"}) + Row(3, {"r", "b"});
  EXPECT_EQ(Shorter(Sheet(rows, "", "<mergeCells><mergeCell ref=\"D2:D3\"/></mergeCells>")),
            "user: q | assistant: [a]\nuser: r | assistant: [b]");
  EXPECT_THAT(Sheet(rows, "", "<mergeCells><mergeCell ref=\"B2:B3\"/></mergeCells>"),
              HasSubstr("q.xlsx sheet Data row 2: \"Answer\" holds merged cells at B2:B3; unmerge them"));
}

TEST_F(CasesWorkbooks, RowsHiddenByAFilterAreLeftOutAndSaid) {
  const std::string report = Sheet(Row(1, {"Question", "Answer"}) + Row(2, {"Q0?", "A0."}) +
                                   Row(3, {"Q1?", "A1."}, " hidden=\"1\"") +
                                   Row(4, {"Q2?", "A2."}, " hidden=\"true\"") + Row(5, {"Q3?", "A3."}));
  EXPECT_EQ(Shorter(report), "user: Q0? | assistant: [A0.]\nuser: Q3? | assistant: [A3.]");
  EXPECT_THAT(
      report,
      HasSubstr(
          "q.xlsx: 2 rows that the sheet hides (by a filter, or by hand) were left out, the first is row 3"));
}

TEST_F(CasesWorkbooks, HiddenColumnsAreSaid) {
  EXPECT_THAT(Sheet(Row(1, {"Question", "Answer"}) + Row(2, {"q", "a"}),
                    "<cols><col min=\"2\" max=\"2\" hidden=\"1\"/></cols>"),
              HasSubstr("q.xlsx: hidden columns are read like others: Answer"));
}

TEST_F(CasesWorkbooks, ACoverSheetIsNamedWithTheOtherSheets) {
  EXPECT_THAT(
      Book(TwoSheets(Row(1, {"Made by Ann"}) + Row(2, {"2024"}),
                     Row(1, {"Question", "Answer"}) + Row(2, {"q", "a"}), "")),
      AllOf(HasSubstr(
                "the fields are: Made by Ann (row 1 of sheet First names them; to read another sheet write "
                "sheet: with one of: QA)"),
            Not(HasSubstr("input: \"Made by Ann\""))));
}

TEST_F(CasesWorkbooks, FilesThatAreNoWorkbooksSayWhatTheyAre) {
  EXPECT_THAT(
      Report("q.xlsx", "Question,Answer\na?,b\n"),
      HasSubstr("q.xlsx is text and no workbook, whatever its name says; if it is a table, call it .csv"));
  EXPECT_THAT(Report("h.xls", "<html><table><tr><td>Question</td></tr></table></html>"),
              HasSubstr("h.xls is a web page and no workbook"));
  EXPECT_THAT(Report("x.xls", "<?xml version=\"1.0\"?><?mso-application progid=\"Excel.Sheet\"?>"),
              HasSubstr("x.xls is a workbook of the XML kind of 2003"));
  EXPECT_THAT(Report("b.xlsx", std::string_view("\x01\x02\x00", 3)), HasSubstr("b.xlsx is no workbook"));
}

TEST_F(CasesWorkbooks, FormulasWithoutAResultAreRefusedInOptionalColumnsToo) {
  const auto input = [&](const std::string& cell) {
    return Sheet(Row(1, {"instruction", "input", "output"}) + "<row r=\"2\">" + TextCell("A2", "Add.") +
                 cell + TextCell("C2", "5") + "</row>");
  };
  for (const char* cell :
       {"<c r=\"B2\"><f>A1</f><v></v></c>", "<c r=\"B2\"><f>A1</f><v/></c>", "<c r=\"B2\"><f>A1</f></c>"}) {
    EXPECT_THAT(input(cell),
                HasSubstr("q.xlsx sheet Data row 2: \"input\" holds a formula without a stored result"));
  }
  EXPECT_EQ(Shorter(input("<c r=\"B2\" t=\"str\"><f>A1</f><v></v></c>")), "user: Add. | assistant: [5]");
}

}  // namespace
}  // namespace ft::prepare
