#include "client/render/sentences.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <span>
#include <string>

#include "client/render/templates.h"

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

void ExpectNoEnglishLeft(const std::string& text) {
  const std::string chinese = Chinese(text);
  EXPECT_NE(chinese, text);
  EXPECT_EQ(EnglishIn(chinese), "") << text << "\n" << chinese;
}

TEST(SentencesTest, NoEnglishIsLeftInWhatIsSaidOfHubs) {
  EXPECT_EQ(Chinese("hf://a/b is not in the cache /c: `ftctl cache list` shows what is"),
            "缓存 /c 中没有 hf://a/b：`ftctl cache list` 显示缓存内容");
  for (const std::string text : {
           "hf://a/b is not open to this token: accept its terms at https://huggingface.co/a/b, and set "
           "HF_TOKEN to a token "
           "that may read it",
           "hf://a/b is not at huggingface.co, or is private: correct the name, or set HF_TOKEN to a token "
           "that may read it",
           "hf://a/b: huggingface.co does not take the token: set HF_TOKEN to one that is valid",
           "hf://a/b@v9: there is no such revision: name a branch, tag or commit of it",
           "m.safetensors: hf://a/b: a file is not there any more",
           "hf://a/b: hub.example answers with HTTP status 503",
           "hf://a/b leads to http://x.example, where everybody on the way could change it: only https is "
           "followed",
           "hf://a/b needs 80.0 MiB more in /c, and 12.0 MiB are free: make room (`ftctl cache list` shows "
           "what is kept), or "
           "keep it on another disk",
           "model.source: hf://a/b is not whole in /c (x.safetensors), and hubs are offline here "
           "(HF_HUB_OFFLINE, or "
           "hub_offline of the worker): run `ftctl cache fetch hf://a/b` where there is a network, or allow "
           "it here",
           "hf://a/b: m.safetensors came with digest aa, and the hub says bb, twice: something on the way "
           "changes it; try "
           "again later, or use another mirror",
           "hf://a/b: m.safetensors: the server sends more bytes than the hub lists: try again later, or use "
           "another mirror",
           "hf://a/b has no config.json: is it a model in Hugging Face's layout?; its files are x.gguf",
           "HF_ENDPOINT: http://x would show tokens to everybody on the way: write https:// (http:// is for "
           "this machine only)",
           "model.source: hf://a/b is version cc: 12 files, 2.1 GiB, of them 1.0 GiB downloaded",
       }) {
    ExpectNoEnglishLeft(text);
  }
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
    ExpectNoEnglishLeft(text);
  }
}

TEST(SentencesTest, RefusalsOfJobFilesAreSaidInChinese) {
  EXPECT_EQ(Chinese("job.yaml:4: train.epocs: unknown key, did you mean 'epochs'?"),
            "job.yaml:4：train.epocs：未知的键，是否想写 'epochs'？");
  EXPECT_EQ(Chinese("job.yaml:5: train.micro_batch: expects a whole number, got \"a; b: c\""),
            "job.yaml:5：train.micro_batch：应为整数，却是 \"a; b: c\"");
  EXPECT_EQ(Chinese("job.yaml:6: method.rank: 2000 is not between 1 and 1024"),
            "job.yaml:6：method.rank：2000 不在 1 与 1024 之间");
  EXPECT_EQ(Chinese("job.yaml: train.loss_scale.initial: 1e-05 is not a power of two"),
            "job.yaml：train.loss_scale.initial：1e-05 不是 2 的幂");
  EXPECT_EQ(Chinese("job.yaml:2: not YAML: end of map not found"),
            "job.yaml:2：不是 YAML：映射没有正常结束（请检查缩进和冒号）");
  EXPECT_EQ(Chinese("job.yaml: model: there is nothing at /m: correct the path, which is relative to /d; if "
                    "it is a name on a model hub, write hf://a/b or modelscope://a/b"),
            "job.yaml：model：/m 处没有文件：请更正路径，它相对于 "
            "/d；若它是模型库中的名称，请写 hf://a/b 或 modelscope://a/b");
  EXPECT_EQ(
      Chinese("method.init_from of an adapter that is not on this machine is not supported yet: download "
              "it and give its folder\nrecipe is not supported yet: write the settings into the job file"),
      "method.init_from 指向不在本机上的适配器，尚不支持：请先下载，再给出其文件夹\nrecipe "
      "尚不支持：请把设置写入任务文件");
}

TEST(SentencesTest, WhatTheCoordinatorSaysIsSaidInChinese) {
  EXPECT_EQ(Chinese("it needs 2 ranks of 4 cores and a GPU with 900 MiB free each, and not enough is free"),
            "它需要 2 个进程，每个 4 核和一块有 900 MiB 空闲内存的 GPU，而空闲的不够");
  EXPECT_EQ(Chinese("it needs 1 core, more than the nodes that it may use have"),
            "它需要 1 核，超过它可用的节点所有");
  EXPECT_EQ(
      Chinese("node vm: 2 of 4 cores free, 0 free slot(s) for preparations; it has no device of kind 8.0"),
      "节点 vm：4 核中有 2 核空闲，0 个空闲的准备名额；它没有 8.0 类设备");
  EXPECT_EQ(
      Chinese(
          "restarting from step 7 in 2s: rank 1 was killed by signal 9 (SIGKILL) without a result; its last "
          "output is in ftctl logs"),
      "2s 后从第 7 步重新开始：进程 1 被信号 9（SIGKILL）终止，没有结果；最后的输出见 ftctl logs");
  EXPECT_EQ(Chinese("job qa is RUNNING and cannot be resumed"), "任务 qa 的状态为运行中，不能继续");
}

TEST(SentencesTest, WordsAreSaidOnlyWhereTheyAreMeant) {
  EXPECT_EQ(PhraseInLanguage(kChinese, StateWords(), "RUNNING"), "运行中");
  EXPECT_EQ(PhraseInLanguage(kChinese, PhaseWords(), "train"), "训练");
  EXPECT_EQ(PhraseInLanguage({}, StateWords(), "RUNNING"), "RUNNING");
  // But for what plans call a checkpoint.
  for (const std::span<const Template> words : {StateWords(), PhaseWords(), DoctorTemplates(), HelpTexts()}) {
    for (const Template& word : words) {
      if (word.english.find(' ') == std::string_view::npos && word.english != "checkpoint") {
        EXPECT_EQ(Chinese(word.english), word.english);
      }
    }
  }
  EXPECT_EQ(PhraseInLanguage(kChinese, DoctorTemplates(), "0.1.0 at /run/f.sock"), "0.1.0，位于 /run/f.sock");
  EXPECT_EQ(Chinese("0.1.0 at /run/f.sock"), "0.1.0 at /run/f.sock");
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

TEST(SentencesTest, ThePlanOfACardIsInChinese) {
  EXPECT_EQ(PlanInLanguage(kChinese,
                           "     4.51 GB  base weights\n     5.00 GB  in all\n"
                           "It does not fit: 31.20 GB of the 25.20 GB that can be used of rtx4090-24g\n"
                           "Smallest change that fits: train.activation_checkpointing: true\n"),
            "     4.51 GB  基座权重\n     5.00 GB  合计\n"
            "不够用：需要 31.20 GB，rtx4090-24g 可用 25.20 GB\n"
            "够用的最小改动：train.activation_checkpointing: true\n");
}

TEST(SentencesTest, WhatBecomesOfDeepspeedsKeysIsSaidInChinese) {
  const std::pair<const char*, const char*> sentences[] = {
      {"ds.json: zero_optimisation: unknown key, did you mean 'zero_optimization'?",
       "ds.json：zero_optimisation：未知的键，是否想写 'zero_optimization'？"},
      {"ds.json: gradient_clipping: 2 contradicts the job's train.max_grad_norm: 1; make them equal, or "
       "write "
       "\"auto\" where DeepSpeed takes it",
       "ds.json：gradient_clipping：2 与任务的 train.max_grad_norm: 1 矛盾；请使两者相同，或在 DeepSpeed "
       "允许处写 \"auto\""},
      {"job.yaml:5: parallel.deepspeed: ds.json: fp16.enabled: is true beside bf16.enabled: switch one of "
       "the two "
       "off",
       "job.yaml:5：parallel.deepspeed：ds.json：fp16.enabled：与 bf16.enabled 同时为 true：请关闭其一"},
      {"job.yaml:5: parallel.deepspeed: ds.json: scheduler.params.warmup_max_lr: 0.1 contradicts "
       "optimizer.params.lr of the same file: make them equal, or take one out",
       "job.yaml:5：parallel.deepspeed：ds.json：scheduler.params.warmup_max_lr：0.1 与同一文件的 "
       "optimizer.params.lr 矛盾：请使两者相同，或去掉其一"},
      {"no meaning here: an overflow halves the scale at once", "在此没有意义：溢出时缩放立即减半"},
      {"the job's train.max_grad_norm", "任务的 train.max_grad_norm"},
      {"the job's data or checkpoint is not there", "任务的数据或检查点不在那里"},
      {"ds.json: optimizer.type: \"Lion\" is not supported yet: use AdamW",
       "ds.json：optimizer.type：\"Lion\" 尚不支持：请用 AdamW"}};
  for (const auto& [english, chinese] : sentences) EXPECT_EQ(InLanguage(kChinese, english), chinese);
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
