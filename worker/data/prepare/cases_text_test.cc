// Text files of the wild (shared/cases 20 to 38, 61 to 70, 130): encodings, JSON, CSV, plain text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "worker/data/prepare/cases_fixture.h"

namespace ft::prepare {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CasesText : public CasesFixture<ft::testing::TempDir> {};

TEST_F(CasesText, NotANumberIsNamedByLineAndColumn) {
  EXPECT_THAT(
      Report("d.jsonl",
             "{\"question\": \"q\", \"answer\": \"Lima.\"}\n{\"question\": \"é\", \"answer\": NaN}\n"),
      HasSubstr(
          "d.jsonl line 2, column 29: broken JSON: NaN is no JSON; write null, or leave the key out (at: "
          "\"é\", \"answer\": NaN})"));
  EXPECT_THAT(Report("d.jsonl", "[{\"a\": 1}, {\"a\": None}]"),
              HasSubstr("line 1, column 18: broken JSON: None is no JSON; JSON writes null"));
  EXPECT_THAT(Report("d.json", "[{\"a\":\n  'x'}]"),
              HasSubstr("line 2, column 3: broken JSON: texts stand in double quotes"));
  EXPECT_THAT(Report("d.json", "[{\"a\": \"x\" \"b\": 1}]"),
              HasSubstr("a comma is missing between two entries"));
  EXPECT_THAT(Report("d.json", "[{\"a\": \"x\",}]"),
              HasSubstr("a comma stands before the closing }; remove it"));
  EXPECT_THAT(Report("d.json", "[{\"a\": \"\\x\"}]"), HasSubstr("is no escape of JSON"));
  EXPECT_THAT(Report("d.json", "[{\"a\": \"\\ud800\"}]"), HasSubstr("half of a character"));
  EXPECT_THAT(Report("d.json", "[{\"a\": 01}]"), HasSubstr("\"01\" is no JSON value"));
}

TEST_F(CasesText, CommasBetweenLinesAreNamed) {
  EXPECT_THAT(
      Report("d.jsonl",
             "{\"question\": \"q\", \"answer\": \"a\"},\n{\"question\": \"r\", \"answer\": \"b\"}\n"),
      HasSubstr("d.jsonl line 1: a comma stands after a record; remove the commas between the lines"));
}

TEST_F(CasesText, RecordsInsideAnObjectAreFound) {
  EXPECT_THAT(
      Report(
          "d.json",
          R"({"version": "1.0", "data": [{"question": "q", "answer": "a"}, {"question": "r", "answer": "b"}]})"),
      AllOf(
          HasSubstr("the records seem to lie under \"data\" (a list of 2); save that list alone, for example "
                    "with jq '.\"data\"'"),
          Not(HasSubstr("map:"))));
}

TEST_F(CasesText, ListsAreNoRecords) {
  EXPECT_THAT(Report("d.json", R"([["Capital of Peru?", "Lima."]])"),
              HasSubstr("d.json line 1: a record must be an object like {\"question\": ..., \"answer\": "
                        "...}, and this is a list"));
}

TEST_F(CasesText, NumbersStandAsTheyAreWritten) {
  for (const char* number :
       {"1.10", "12345678901234567890123", "100000000000000000000.0", "0.30000000000000004", "1e3", "-0"}) {
    EXPECT_EQ(Samples("d.jsonl", StrCat("{\"question\": 1, \"answer\": ", number, "}\n")),
              StrCat("user: 1 | assistant: [", number, "]"));
  }
}

TEST_F(CasesText, TextWithItsMetadataIsLearntWhole) {
  const std::string report =
      Report("d.jsonl",
             R"({"text": "Owls hunt at night.", "url": "http://localhost/owls", "timestamp": "2020-01-01"})");
  EXPECT_THAT(
      report,
      HasSubstr(
          "text is text to learn whole, without a template (guessed by its name); not used: url, timestamp"));
  EXPECT_THAT(report, HasSubstr("O⟦wls hunt at night.<|im_end|>⟧"));
  // A label is no metadata: what to write is said instead.
  EXPECT_THAT(
      Report("d.jsonl", R"({"text": "Owls hunt at night.", "label": 3})"),
      HasSubstr("to learn plain text instead write --set data.format=text --set 'data.column=\"text\"' "
                "(in a job file format: text and column: \"text\")"));
}

TEST_F(CasesText, TheSuggestedMapIsChosenByContentAndSaidToBeAGuess) {
  EXPECT_THAT(Report("q.csv", "渠道,读者提问,标准答复\n网站,几点开门？,九点。\n"),
              HasSubstr("perhaps (a guess by what the fields hold): --map input=读者提问,output=标准答复 "
                        "(in a job file map: {input: \"读者提问\", output: \"标准答复\"})"));
  EXPECT_THAT(
      Report("q.csv",
             "when,link,what they say,what we say\n2024-01-02,https://localhost/1,Where is it?,It is on the "
             "second floor.\n"
             "2024-01-03,https://localhost/2,Is it open?,It opens at nine on every day but Monday.\n"),
      HasSubstr("--map 'input=what they say,output=what we say'"));
  // What a shell or --map would read otherwise.
  const std::string odd = R"("what they say, ""as it is""","the owner's answer, in full")";
  EXPECT_THAT(
      Report("q.csv", StrCat("id,", odd,
                             "\n1,Where is the hall?,It is on the second floor.\n"
                             "2,Is it open today?,It opens at nine on every day.\n")),
      HasSubstr(R"(--map 'input=what they say, "as it is",output=the owner'\''s answer, in full' ()"));
  EXPECT_THAT(Report("q.csv",
                     "id,\"x,output=y\",z\n1,Where is the hall?,It is on the second floor.\n"
                     "2,Is it open today?,It opens at nine on every day.\n"),
              HasSubstr(R"(--set 'data.map={input: "z", output: "x,output=y"}' ()"));
  EXPECT_THAT(Report("q.csv", "a1,b1\n1,2\n3,4\n"), HasSubstr("--map input=QUESTION,output=ANSWER"));
}

TEST_F(CasesText, LoneCarriageReturnsEndLines) {
  EXPECT_EQ(Samples("d.csv", "question,answer\rCapital of Peru?,Lima.\rCapital of Chile?,Santiago.\r"),
            "user: Capital of Peru? | assistant: [Lima.]\nuser: Capital of Chile? | assistant: [Santiago.]");
  EXPECT_THAT(Report("t.txt", "Owls hunt at night.\rThey hear very well.\r"),
              AllOf(HasSubstr("2 samples (0 held out)"), HasSubstr("t.txt line 2:")));
}

TEST_F(CasesText, EastAsianEncodingsAreTold) {
  // "도서관은 언제 문을 여나요?" / "평일 아홉 시에 문을 엽니다." in code page 949.
  EXPECT_EQ(
      Samples(
          "k.csv",
          "question,answer\n"
          "\xb5\xb5\xbc\xad\xb0\xfc\xc0\xba \xbe\xf0\xc1\xa6 \xb9\xae\xc0\xbb \xbf\xa9\xb3\xaa\xbf\xe4?,"
          "\xc6\xf2\xc0\xcf \xbe\xc6\xc8\xa9 \xbd\xc3\xbf\xa1 \xb9\xae\xc0\xbb \xbf\xb1\xb4\xcf\xb4\xd9.\n"),
      "user: 도서관은 언제 문을 여나요? | assistant: [평일 아홉 시에 문을 엽니다.]");
  EXPECT_THAT(Report(), HasSubstr("k.csv: read as EUC-KR and converted to UTF-8"));
  // "図書館は何時に開きますか？" / "朝九時です。" in Shift_JIS and EUC-JP.
  const std::string japanese = "user: 図書館は何時に開きますか？ | assistant: [朝九時です。]";
  EXPECT_EQ(Samples("s.jsonl",
                    "{\"question\": "
                    "\"\x90\x7d\x8f\x91\x8a\xd9\x82\xcd\x89\xbd\x8e\x9e\x82\xc9\x8a\x4a\x82\xab\x82\xdc\x82"
                    "\xb7\x82\xa9\x81\x48\", "
                    "\"answer\": \"\x92\xa9\x8b\xe3\x8e\x9e\x82\xc5\x82\xb7\x81\x42\"}\n"),
            japanese);
  EXPECT_THAT(Report(), HasSubstr("read as Shift_JIS"));
  EXPECT_EQ(Samples("e.csv",
                    "question,"
                    "answer\n\xbf\xde\xbd\xf1\xb4\xdb\xa4\xcf\xb2\xbf\xbb\xfe\xa4\xcb\xb3\xab\xa4\xad\xa4\xde"
                    "\xa4\xb9\xa4\xab\xa1\xa9,"
                    "\xc4\xab\xb6\xe5\xbb\xfe\xa4\xc7\xa4\xb9\xa1\xa3\n"),
            japanese);
  EXPECT_THAT(Report(), HasSubstr("read as EUC-JP"));
  // "圖書館幾點開門？" / "早上九點開門。" in Big5.
  EXPECT_EQ(Samples("b.csv",
                    "question,answer\n\xb9\xcf\xae\xd1\xc0\x5d\xb4\x58\xc2\x49\xb6\x7d\xaa\xf9\xa1\x48,"
                    "\xa6\xad\xa4\x57\xa4\x45\xc2\x49\xb6\x7d\xaa\xf9\xa1\x43\n"),
            "user: 圖書館幾點開門？ | assistant: [早上九點開門。]");
  EXPECT_THAT(Report(), HasSubstr("read as Big5"));
  // "图书馆几点开门？" / "九点。" in GB18030.
  EXPECT_EQ(Samples("g.csv",
                    "question,answer\n\xcd\xbc\xca\xe9\xb9\xdd\xbc\xb8\xb5\xe3\xbf\xaa\xc3\xc5\xa3\xbf,"
                    "\xbe\xc5\xb5\xe3\xa1\xa3\n"),
            "user: 图书馆几点开门？ | assistant: [九点。]");
}

TEST_F(CasesText, WhatNoEncodingMakesSenseOfIsRefused) {
  // Thai in TIS-620, which is valid GB18030, Big5 and EUC-KR.
  EXPECT_THAT(
      Report("t.csv",
             "question,answer\n\xcb\xe9\xcd\xa7\xca\xc1\xd8\xb4\xe0\xbb\xd4\xb4\xa1\xd5\xe8\xe2\xc1\xa7\xa1,"
             "x\n"),
      HasSubstr("t.csv line 2 is neither UTF-8 nor text in another encoding that is read"));
}

TEST_F(CasesText, ExcelsSeparatorLineIsFollowed) {
  EXPECT_EQ(Samples("d.csv", "sep=;\r\nquestion;answer\r\nCapital, of Peru?;Lima.\r\n"),
            "user: Capital, of Peru? | assistant: [Lima.]");
  EXPECT_THAT(Report(), AllOf(HasSubstr("d.csv: its first line says that fields are separated by ;"),
                              HasSubstr("d.csv line 3: ")));
}

TEST_F(CasesText, CsvOfEveryHabit) {
  const std::string right = "user: Capital of Peru? | assistant: [Lima]";
  EXPECT_EQ(
      Samples("a.csv", "\xEF\xBB\xBFquestion,answer\r\n\"Capital of Peru?\",\"Lima,\r\nthe coast\"\r\n"),
      "user: Capital of Peru? | assistant: [Lima,\nthe coast]");
  EXPECT_EQ(Samples("b.csv", "question;answer\nCapital of Peru?;Lima\n"), right);
  EXPECT_EQ(Samples("c.tsv", "question\tanswer\nCapital of Peru?\tLima\n"), right);
  EXPECT_EQ(Samples("d.csv", "question,answer,\nCapital of Peru?,Lima,\n"), right);
  EXPECT_EQ(Samples("e.csv", "question, answer\n\"Capital of Peru?\", \"Lima\"\n"), right);
  EXPECT_EQ(Samples("f.csv", "question,answer\n \"Capital of Peru?\" ,\t\"Lima\" \n"), right);
}

TEST_F(CasesText, ColumnsWithoutANameAreSaid) {
  EXPECT_EQ(Samples("p.csv", ",question,answer\n0,q,a\n"), "user: q | assistant: [a]");
  EXPECT_THAT(Report(), HasSubstr("p.csv: column 1 has no name in the header and was not read"));
}

TEST_F(CasesText, OneColumnOfText) {
  EXPECT_THAT(Report("d.csv", "text\n\"Owls hunt at night, alone.\"\n\"They hear, and see, well.\"\n"),
              AllOf(HasSubstr("2 samples (0 held out)"), HasSubstr("O⟦wls hunt at night, alone.")));
  EXPECT_THAT(
      Report("e.csv", "text\nOwls hunt at night, alone.\n"),
      HasSubstr(
          "e.csv line 2: this row has 2 fields, the header has one (\"text\"); put quotes around text that "
          "holds a comma, or, if every line is one text, call the file .txt"));
}

TEST_F(CasesText, ABookIsOneText) {
  source().format = "text";
  source().documents = "file";
  const std::string report = Report("book.txt", "\nChapter 1\n\nIt was dark.\n\n\nThe end.\n\n");
  EXPECT_THAT(report, HasSubstr("C⟦hapter 1\n\nIt was dark.\n\n\nThe end.<|im_end|>⟧"));
  EXPECT_THAT(report, AllOf(HasSubstr("1 sample (0 held out)"),
                            HasSubstr("book.txt: the whole file is one document")));
  source().documents = "lines";
  EXPECT_THAT(Report(), HasSubstr("3 samples"));
  source().documents = "auto";
  EXPECT_THAT(Report(), AllOf(HasSubstr("3 samples"),
                              HasSubstr("if it is one text, such as a book, write documents: file")));
  source().documents = "file";
  EXPECT_THAT(Report("book.csv", "text\nx\n"), HasSubstr("book.csv is no plain text; take documents: out"));
}

TEST_F(CasesText, SamplesLongerThanTheModelsPositionsAreWarnedOf) {
  const std::string data = "question,answer\n" + std::string(60, 'q') + ",a\nq,a\n";
  EXPECT_THAT(Report("d.csv", data), Not(HasSubstr("Warning")));
  WriteModel(kTemplate, ", \"max_position_embeddings\": 64");
  EXPECT_THAT(Report(),
              HasSubstr("Warning: 1 sample of 2 is longer than the 64 positions that the model was made for "
                        "(max_position_embeddings), the longest has"));
  WriteModel(kTemplate,
             ", \"max_position_embeddings\": 64, \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}");
  EXPECT_THAT(Report(), Not(HasSubstr("Warning")));
  WriteModel(kTemplate, ", \"max_position_embeddings\": \"many\", \"rope_scaling\": 5");
  EXPECT_THAT(Report(), Not(HasSubstr("Warning")));
  WriteModel(kTemplate, ", \"seq_length\": 64, \"max_position_embeddings\": 4096");
  EXPECT_THAT(Report(), HasSubstr("is longer than the 64 positions that the model was made for"));
}

TEST_F(CasesText, SamplesLongerThanATableOfPositionsAreRefused) {
  WriteModel(kTemplate, ", \"n_positions\": 64");
  EXPECT_THAT(Report("d.csv", "question,answer\n" + std::string(60, 'q') + ",a\nq,a\n"),
              HasSubstr("REFUSED 1 sample of 2 is longer than this model's table of 64 positions "
                        "(n_positions), the longest has"));
}

}  // namespace
}  // namespace ft::prepare
