#include "client/render/sentences.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>

namespace ft::client {
namespace {

constexpr Terminal kChinese{.utf8 = true, .language = Language::kChinese};

std::string Chinese(std::string_view text) { return InLanguage(kChinese, text); }

// Two English words in a row that are no part of what is quoted.
std::string EnglishIn(const std::string& text) {
  static const std::regex kQuoted(
      R"("[^"]*"|'[^']*'|`[^`]*`|\([^()]*[a-z]_[a-z][^()]*\)|\{[^{}]*\}|[^ ]*[/=][^ ]*)");
  static const std::regex kWords("[a-z]{2,} [a-z]{2,}");
  const std::string bare = std::regex_replace(text, kQuoted, "");
  std::smatch found;
  return std::regex_search(bare, found, kWords) ? found.str() : "";
}

TEST(SentencesTest, WhatARankSaysIsSaidInChinese) {
  EXPECT_EQ(Chinese("/d/qa.xlsx: Question is the question, Answer is the answer (guessed by their names); "
                    "not used: Id"),
            "/d/qa.xlsx：Question 为问题，Answer 为答案（按名称猜测）；未使用：Id");
  EXPECT_EQ(
      Chinese("8 samples (0 held out), 359 tokens of which 73 carry loss; the longest sample has 50 tokens"),
      "8 条样本（留出 0 条），359 个词元，其中 73 个参与训练；最长的样本有 50 个词元");
  EXPECT_EQ(Chinese("2 of 9 samples are refused:\n  a.csv line 3: the question is empty\n  and 1 more"),
            "9 条样本中有 2 条被拒绝：\n  a.csv 第 3 行：问题为空\n  另有 1 条");
  EXPECT_EQ(
      Chinese("To do about 2 (the question is empty): fill in the empty questions, or delete their records"),
      "其中 2 条（问题为空）的办法：请补上空的问题，或删除这些记录");
  EXPECT_EQ(
      Chinese("/d/q.csv: no fields look like question and answer; name them, perhaps (a guess by what the "
              "fields hold): "
              "--map input=读者提问,output=标准答复 (in a job file map: {input: \"读者提问\", output: "
              "\"标准答复\"}); the "
              "fields are: 渠道, 读者提问, 标准答复"),
      "/d/q.csv：看不出哪些字段是问题和答案；请指明各列，也许是（按内容猜测）：--map "
      "input=读者提问,output=标准答复 "
      "（任务文件中写 map: {input: \"读者提问\", output: \"标准答复\"}）；字段有：渠道, 读者提问, 标准答复");
  EXPECT_EQ(Chinese("finished after step 6"), "在第 6 步后完成");
  EXPECT_EQ(Chinese("10 epochs over 8 samples, chosen by the data's size"),
            "8 条样本训练 10 轮，按数据量选定");
  EXPECT_EQ(Chinese("warm-up 0.03, chosen for few steps"), "预热 0.03，步数少，因此这样选定");
}

TEST(SentencesTest, NoEnglishIsLeftInKnownSentences) {
  for (const std::string text : {
           "a.jsonl line 2, column 7: broken JSON: NaN is no JSON; write null, or leave the key out (at: "
           "{\"a\": NaN})",
           "f.txt mixes encodings: line 2 is UTF-8, line 3 is not; save the whole file as UTF-8",
           "f.txt line 2 is not UTF-8 and may be GB18030 or EUC-JP; save the file as UTF-8",
           "f.txt line 2 holds a zero byte, so it is not text; save it as UTF-8 text",
           "a.csv line 3: this row has 3 fields, the header has 2; put quotes around text that holds the "
           "delimiter",
           "t.xlsx has no sheet \"data\"; its sheets are: Data",
           "qa.xlsx sheet Data row 2: \"Answer\" holds merged cells at B2:B3; unmerge them and fill in every "
           "row, since a merged "
           "value belongs to one",
           "qa.xlsx sheet Data row 2: \"Answer\" holds a formula without a stored result; open the file in a "
           "spreadsheet program "
           "and save it",
           "q.xlsx sheet S row 3: cell C3 stands to the right of the header in row 1, which names 2 columns; "
           "name the column "
           "there, or clear the cell",
           "a.jsonl line 1: message 1 has the role \"judge\"; known are system, user (human), assistant "
           "(gpt), function_call and "
           "observation",
           "a.jsonl line 1: message 2 has \"tool_calls\", which is not read; write calls as text: an answer "
           "with role "
           "function_call and what came of it with role observation",
           "d.jsonl line 4: the model's chat template drops 36 characters of the answer (from \"<think>\" "
           "on); choose a named "
           "template such as template: chatml, or take them out of the data",
           "3 of 4 samples (75%) are longer than train.max_length 8 and would be cut, more than "
           "gate.max_truncated 0.2 allows; "
           "the longest has 40 tokens; raise train.max_length, or allow it with gate: {allow_truncation: "
           "true}",
           "/m: the tokenizer has 264 ids, the model 260; the tokenizer belongs to another model, put this "
           "model's own tokenizer "
           "files there",
           "/m/config.json: quantization_config.quant_method is gptq: GPTQ weights are not read by this "
           "version; take the model "
           "that was quantised, in BF16 or F16: method qlora keeps it in 4 bits while it trains",
           "/m/x.safetensors: tensor 'w': type F32 and shape [3] need 12 bytes, its offsets give 8",
           "/m/x.safetensors: tensor 'w': type 'F8_E4M3' is not supported (packed floats); take the model "
           "that was quantised, in "
           "BF16 or F16: method qlora keeps it in 4 bits while it trains",
           "the training loss ended at 11.44, from 12.41 at first, and blind guessing costs 10.80: the model "
           "is worse than that "
           "still; lower train.optimizer.lr (it is 0.0002)",
           "the disk is full: cannot write /d/model.part: No space left on device; the job waits for room",
           "2 samples (1 held out), 81 tokens of which 12 carry loss; the longest sample has 41 tokens; 1 "
           "was cut to 256; 1 record "
           "without an answer was left out",
       }) {
    const std::string chinese = Chinese(text);
    EXPECT_NE(chinese, text);
    EXPECT_EQ(EnglishIn(chinese), "") << text << "\n" << chinese;
  }
}

TEST(SentencesTest, APersonsOwnTextStaysAsItIs) {
  EXPECT_EQ(Chinese("How is it, and why: nobody knows; perhaps (or not)"),
            "How is it, and why: nobody knows; perhaps (or not)");
  const std::string text = "When does it open?\n⟦nothing was learnt⟧";
  EXPECT_EQ(ReportInLanguage(kChinese,
                             "Sample 1, a.csv line 2: 40 tokens, 4 carry loss (between ⟦ and ⟧)\n" + text),
            "样本 1，a.csv 第 2 行：40 个词元，其中 4 个参与训练（⟦ 与 ⟧ 之间）\n" + text);
  EXPECT_EQ(InLanguage({}, "nothing was learnt"), "nothing was learnt");
  // Long and deep texts end soon.
  std::string nested;
  for (int i = 0; i < 350; ++i) nested += "a: b; (c), ";
  EXPECT_EQ(Chinese(nested), nested);
  std::string repeated = "/m: ";
  for (int i = 0; i < 300; ++i) repeated += " is x: weights";
  EXPECT_EQ(Chinese(repeated), repeated);
}

TEST(SentencesTest, ThePlanKeepsItsColumns) {
  EXPECT_EQ(PlanInLanguage(
                kChinese,
                "  learning rate  0.0002 cosine    warm-up 0.03\n  method         qlora            base in 4 "
                "bits, small adapters trained: least memory\n    0.27 GiB  in all; 22.32 GiB are free: it "
                "fits\n  checkpoint     every 500 steps  the newest 2 are kept\n"),
            "  学习率         0.0002 cosine    预热 0.03\n  方法           qlora            基座以 4 "
            "比特存放，只训练小适配器："
            "最省内存\n    0.27 GiB  合计；可用 22.32 GiB：够用\n  检查点         每 500 步        "
            "保留最新的 2 个\n");
}

TEST(SentencesTest, BothSidesOfATemplateHaveTheSameValues) {
  const std::regex value(R"([{<]#?[0-9][}>])");
  for (const std::span<const Template> templates : AllTemplates()) {
    for (const Template& entry : templates) {
      std::set<char> sides[2];
      for (int side = 0; side < 2; ++side) {
        const std::string text(side == 0 ? entry.english : entry.chinese);
        for (std::sregex_iterator it(text.begin(), text.end(), value), end; it != end; ++it) {
          sides[side].insert(it->str()[it->length() - 2]);
        }
      }
      EXPECT_EQ(sides[0], sides[1]) << entry.english;
    }
  }
}

}  // namespace
}  // namespace ft::client
