#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/render/catalogue.h"
#include "client/render/progress.h"
#include "client/render/table.h"
#include "client/render/units.h"
#include "client/render/width.h"
#include "core/base/str_cat.h"

namespace ft::client {
namespace {

constexpr Terminal kUtf8{.utf8 = true};
constexpr Terminal kPlain{.utf8 = false};
constexpr Terminal kChinese{.utf8 = true, .language = Language::kChinese};

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    begin = end == std::string::npos ? text.size() : end + 1;
  }
  return lines;
}

TEST(WidthTest, ChineseTakesTwoColumnsAndMarksTakeNone) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("医疗问答"), 8);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1);
  EXPECT_EQ(DisplayWidth("👍🏽"), 2);
  EXPECT_EQ(DisplayWidth("🇨🇳"), 2);
  EXPECT_EQ(DisplayWidth(""), 0);
}

TEST(WidthTest, CutsBetweenGraphemesOnly) {
  EXPECT_EQ(CutToWidth("医疗问答", 8, "…"), "医疗问答");
  EXPECT_EQ(CutToWidth("医疗问答", 6, "…"), "医疗…");
  EXPECT_EQ(CutToWidth("医疗问答", 5, "…"), "医疗…");
  EXPECT_EQ(CutToWidth("cafe\xCC\x81s", 4, "~"), "caf~");
  EXPECT_EQ(CutToWidth("abc", 0, "~"), "");
}

TEST(WidthTest, NothingPrintedSteersTheTerminal) {
  EXPECT_EQ(Printable("a\x1b[2Jb\n"), "a [2Jb ");
  EXPECT_EQ(Printable("a\xff"
                      "b"),
            "a?b");
  EXPECT_EQ(PrintableLines("a\r\n\tb"), "a \n\tb");
}

TEST(TableTest, ColumnsAlignWithChineseText) {
  Table table({{.title = Text::kColumnName},
               {.title = Text::kColumnStep, .align = Align::kRight},
               {.title = Text::kColumnState}});
  table.AddRow({"医疗问答", "7", "RUNNING"});
  table.AddRow({"qa", "1,234", "QUEUED"});
  EXPECT_EQ(table.Render(kUtf8),
            "NAME       STEP  STATE\n"
            "医疗问答      7  RUNNING\n"
            "qa        1,234  QUEUED\n");
}

TEST(TableTest, WideTablesAreCutToTheTerminal) {
  Table table({{.title = Text::kColumnName, .may_cut = true},
               {.title = Text::kColumnPath, .may_cut = true},
               {.title = Text::kColumnId}});
  table.AddRow({std::string(60, 'n'), "一二三四五六七八九十一二三四五六七八九十一二三四五", "0123456789"});
  for (const std::string& line : Lines(table.Render(kUtf8))) EXPECT_LE(DisplayWidth(line), 80) << line;
  EXPECT_NE(table.Render(kUtf8).find("…"), std::string::npos);
  EXPECT_NE(table.Render(kPlain).find("~"), std::string::npos);
  EXPECT_NE(table.Render(kPlain).find("0123456789"), std::string::npos);
}

TEST(TableTest, FieldsAlignAndEmptyOnesAreLeftOut) {
  const std::vector<std::pair<Text, std::string>> fields = {
      {Text::kFieldName, "qa"}, {Text::kFieldContact, ""}, {Text::kFieldState, "RUNNING"}};
  EXPECT_EQ(RenderFields({}, fields), "Name:  qa\nState: RUNNING\n");
  EXPECT_EQ(RenderFields(kChinese, {{Text::kFieldName, "qa"}, {Text::kFieldCheckpoint, "第 3 步"}}),
            "名称：   qa\n检查点： 第 3 步\n");
}

TEST(TableTest, ChineseTitlesAlignByTheirWidth) {
  Table table({{.title = Text::kColumnName},
               {.title = Text::kColumnLoss, .align = Align::kRight},
               {.title = Text::kColumnGradient, .align = Align::kRight},
               {.title = Text::kColumnState}});
  table.AddRow({"qa", "2.3450", "1.2", "运行中"});
  EXPECT_EQ(table.Render(kChinese),
            "名称    损失  梯度范数  状态\n"
            "qa    2.3450       1.2  运行中\n");
}

TEST(WrapTest, BreaksAtSpacesAndBetweenChinese) {
  EXPECT_EQ(Wrap("one two three", 8, 2), "one two\n  three");
  for (const std::string& line : Lines(Wrap("医疗问答数据集的样本数量", 10, 0)))
    EXPECT_LE(DisplayWidth(line), 10);
  EXPECT_EQ(Wrap("short", 80, 4), "short");
}

TEST(WrapTest, NoLineOfChineseBeginsWithAMark) {
  const std::string_view text =
      "请把 ftctl、finetuned 和 --data，/数据/问答.csv：安装在同一文件夹（见日志）。";
  for (int width = 4; width < 60; ++width) {
    for (const std::string& line : Lines(Wrap(text, width, 0))) {
      for (const std::string_view mark : {"、", "，", "：", "）", "。"})
        EXPECT_FALSE(line.starts_with(mark)) << width << "\n" << line;
    }
  }
}

TEST(WrapTest, ArgumentsOfCommandsStayWhole) {
  for (const char* argument :
       {"input=读者提问的内容,output=标准答复的内容", "'input=读者 提问,output=标准 答复'", "\"标准 答复\"",
        "/数据/图书馆/常见问题.xlsx", "--name=图书馆常见问题"}) {
    for (int width = 10; width < 60; ++width) {
      const std::string wrapped = Wrap(StrCat("请写明各列：--map ", argument, " （猜测）"), width, 2);
      EXPECT_NE(wrapped.find(argument), std::string::npos) << width << "\n" << wrapped;
      EXPECT_NE(Wrap(StrCat("(", argument, ")"), width, 2).find(argument), std::string::npos) << argument;
    }
  }
  EXPECT_NE(Wrap("已暂停；`ftctl resume 图书馆常见问题` 继续", 20, 0).find("图书馆常见问题"),
            std::string::npos);
  const std::string_view path = "/数据/问答.csv";
  EXPECT_EQ(Wrap(StrCat(path, "：这一行有三个字段"), 20, 0), StrCat(path, "：这一\n行有三个字段"));
  // An apostrophe and an open quote are none.
  EXPECT_EQ(Wrap("the models' names and 'so on", 12, 0), "the models'\nnames and\n'so on");
}

TEST(UnitsTest, Durations) {
  EXPECT_EQ(FormatDuration(0.42), "0.4s");
  EXPECT_EQ(FormatDuration(45), "45s");
  EXPECT_EQ(FormatDuration(59.6), "1m 00s");
  EXPECT_EQ(FormatDuration(185), "3m 05s");
  EXPECT_EQ(FormatDuration(3720), "1h 02m");
  EXPECT_EQ(FormatDuration(2 * 86400 + 3 * 3600), "2d 03h");
  EXPECT_EQ(FormatDuration(-1), "-");
  EXPECT_EQ(FormatDuration(std::numeric_limits<double>::infinity()), "-");
}

TEST(UnitsTest, BytesCountsAndLosses) {
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(int64_t{20} << 30), "20 GiB");
  EXPECT_EQ(FormatBytes((int64_t{1} << 20) - 1), "1.0 MiB");
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-1000), "-1,000");
  EXPECT_EQ(FormatLoss(2.34567), "2.3457");
  EXPECT_EQ(FormatLoss(0.00012), "1.2e-04");
  EXPECT_EQ(FormatLoss(std::nan("")), "-");
}

TEST(ProgressTest, BarIsFullOnlyAtTheEnd) {
  EXPECT_EQ(ProgressBar(0.5, 4, kPlain), "##--");
  EXPECT_EQ(ProgressBar(0.999, 4, kPlain), "###-");
  EXPECT_EQ(ProgressBar(1, 4, kPlain), "####");
  EXPECT_EQ(ProgressBar(7, 4, kPlain), "####");
  EXPECT_EQ(ProgressBar(std::nan(""), 4, kPlain), "----");
  EXPECT_EQ(DisplayWidth(ProgressBar(0.3, 20, kUtf8)), 20);
}

TEST(ProgressTest, SparklineFallsWithTheLoss) {
  const std::vector<double> falling = {8, 7, 6, 5, 4, 3, 2, 1};
  EXPECT_EQ(Sparkline(falling, 8, kUtf8), "█▇▆▅▄▃▂▁");
  EXPECT_EQ(Sparkline(falling, 8, kPlain), "#%*+=-:.");
  EXPECT_EQ(Sparkline(falling, 2, kPlain), "#.");
  EXPECT_EQ(Sparkline({}, 8, kPlain), "");
  const std::vector<double> broken = {1, std::nan(""), 2};
  EXPECT_EQ(Sparkline(broken, 8, kPlain), ".#");
  const std::vector<double> flat = {3, 3};
  EXPECT_EQ(DisplayWidth(Sparkline(flat, 8, kUtf8)), 2);
}

TEST(TerminalTest, LanguageAndEncodingComeFromTheLocale) {
  EXPECT_EQ(TerminalFor({.lang = "zh_CN.UTF-8"}, true, 100).language, Language::kChinese);
  EXPECT_EQ(TerminalFor({.lang = "zh_CN.GBK"}, true, 100).language, Language::kEnglish);
  EXPECT_FALSE(TerminalFor({.lang = "C"}, true, 100).utf8);
  EXPECT_TRUE(TerminalFor({.lang = "C.utf8"}, true, 100).utf8);
  EXPECT_EQ(TerminalFor({.all = "en_GB.UTF-8", .lang = "zh_CN.UTF-8"}, true, 100).language,
            Language::kEnglish);
  EXPECT_EQ(TerminalFor({.messages = "zh_TW.UTF-8", .lang = "en_US.UTF-8"}, true, 100).language,
            Language::kChinese);
  EXPECT_EQ(TerminalFor({}, false, 0).columns, 80);
}

// The arguments that a sentence names, each once, sorted.
std::string Arguments(std::string_view sentence) {
  std::string digits;
  for (size_t i = 0; i + 2 < sentence.size() + 1; ++i) {
    if (sentence[i] == '{' && digits.find(sentence[i + 1]) == std::string::npos) digits += sentence[i + 1];
  }
  std::sort(digits.begin(), digits.end());
  return digits;
}

TEST(CatalogueTest, BothLanguagesSayTheSame) {
  size_t index = 0;
  for (const Sentence& sentence : Catalogue()) {
    EXPECT_EQ(static_cast<size_t>(sentence.key), index++);
    EXPECT_FALSE(sentence.english.empty());
    EXPECT_FALSE(sentence.chinese.empty());
    EXPECT_EQ(Arguments(sentence.english), Arguments(sentence.chinese)) << sentence.english;
  }
  EXPECT_EQ(Localized({.utf8 = true, .language = Language::kChinese}, Text::kSubmitted, "qa", "1"),
            "已提交 qa，编号 1");
  EXPECT_EQ(Localized({}, Text::kSubmitted, "qa", "1"), "Submitted qa as 1");
}

TEST(CatalogueTest, EveryEnglishTextHasAChineseOne) {
  // Names are the same in both.
  const std::set<Text> names = {Text::kColumnZero0, Text::kColumnZero1, Text::kColumnZero2,
                                Text::kColumnZero3, Text::kFieldSha256};
  for (const Sentence& sentence : Catalogue()) {
    const bool has_chinese = std::any_of(sentence.chinese.begin(), sentence.chinese.end(),
                                         [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
    EXPECT_EQ(has_chinese, !names.contains(sentence.key)) << sentence.english;
  }
}

// 195
TEST(CasesTerminal, DumbOnesAreNotRedrawn) {
  EXPECT_TRUE(CanRedraw("xterm-256color"));
  EXPECT_FALSE(CanRedraw("dumb"));
  EXPECT_FALSE(CanRedraw(""));
}

TEST(CasesTerminal, LinesBreakAtWordsOnATerminalOnly) {
  Terminal terminal{.interactive = true, .columns = 20};
  EXPECT_EQ(WrapLines("short\nseven words of many letters here\n", terminal),
            "short\nseven words of many\n      letters here\n");
  terminal.interactive = false;
  EXPECT_EQ(WrapLines("seven words of many letters here\n", terminal), "seven words of many letters here\n");
}

}  // namespace
}  // namespace ft::client
