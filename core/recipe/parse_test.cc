#include "core/recipe/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/recipe/json.h"
#include "core/recipe/supported.h"
#include "nlohmann/json.hpp"

namespace ft::recipe {
namespace {

using testing::HasSubstr;

std::string ErrorOf(std::string_view yaml) {
  const Status status = ParseJob(yaml, "job.yaml").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  return std::string(Message(status));
}

TEST(ParseJobTest, ShortestJobTakesDefaults) {
  auto spec = ParseJob("model: ./m\ndata: qa.xlsx\n", "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->model.source, "./m");
  ASSERT_EQ(spec->data.size(), 1u);
  EXPECT_EQ(spec->data[0].source, "qa.xlsx");
  EXPECT_EQ(spec->method.kind, "qlora");
  EXPECT_EQ(spec->data[0].documents, "auto");
}

TEST(ParseJobTest, ABookMayBeOneText) {
  auto spec = ParseJob("model: m\ndata: {source: book.txt, format: text, documents: file}\n", "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->data[0].documents, "file");
  EXPECT_THAT(ErrorOf("model: m\ndata: {source: d, documents: pages}\n"),
              HasSubstr("data.documents: 'pages' is none of: auto, paragraphs, lines, file"));
}

TEST(ParseJobTest, TheLastAnswerAloneMayBeLearnt) {
  auto spec = ParseJob("model: m\ndata: {source: d, loss_on: last}\n", "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->data[0].loss_on, "last");
  EXPECT_EQ(FromJson(ToJson(*spec))->data[0].loss_on, "last");
  EXPECT_THAT(ErrorOf("model: m\ndata: {source: d, loss_on: first}\n"),
              HasSubstr("data.loss_on: 'first' is none of: all, last"));
}

TEST(ParseJobTest, WholeJobIsRead) {
  auto spec = ParseJob(R"(name: 医疗问答
model: {source: ./internlm-7b, dtype: bf16}
data:
  - source: data/qa.xlsx
    map: {system: "You are a doctor.", input: Question, output: Answer}
method: {kind: lora, rank: 8, targets: [q_proj, v_proj]}
train:
  optimizer: {lr: 2.0e-4, betas: [0.9, 0.95]}
  evaluate: {prompts: ["你好"]}
resources: {device_memory: 20GiB, threads: 2}
labels: {team: a}
)",
                       "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "医疗问答");
  EXPECT_EQ(spec->data[0].map->output, "Answer");
  EXPECT_EQ(spec->train.optimizer.beta2, 0.95);
  EXPECT_EQ(spec->resources.device_memory_bytes, int64_t{20} << 30);
  EXPECT_EQ(spec->labels.at("team"), "a");
  auto again = FromJson(ToJson(*spec));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ToJson(*again), ToJson(*spec));
}

TEST(ParseJobTest, EveryProblemIsReportedWithLineAndNearestKey) {
  const std::string error =
      ErrorOf("model: m\ndata: d\ntrain:\n  epocs: 2\n  micro_batch: none\nmethod: {rank: 2000}\n");
  EXPECT_THAT(error, HasSubstr("job.yaml:4: train.epocs: unknown key, did you mean 'epochs'?"));
  EXPECT_THAT(error, HasSubstr("job.yaml:5: train.micro_batch: expects a whole number, got \"none\""));
  EXPECT_THAT(error, HasSubstr("job.yaml:6: method.rank: 2000 is not between 1 and 1024"));
}

TEST(ParseJobTest, LongValuesAreShownCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "图书馆";
  const std::string error = ErrorOf(StrCat("model: m\ndata: d\ntrain: {epochs: ", text, "}\n"));
  EXPECT_THAT(error, HasSubstr("got \"图书馆图"));
  EXPECT_THAT(error, HasSubstr("馆图书..."));
}

TEST(ParseJobTest, KeysThatExcludeEachOtherAreRefused) {
  EXPECT_THAT(
      ErrorOf("model: m\ndata: {source: d, map: {kind: oasst1, input: q}}\n"),
      HasSubstr("data[0].map: kind oasst1 has columns of its own: take input and output out, or the kind"));
  EXPECT_THAT(ErrorOf("model: m\ndata: {source: d, map: {input: q, bot_name: B}}\n"),
              HasSubstr("is of kind: moss_sft only"));
  EXPECT_THAT(ErrorOf("model: m\ndata: {source: d, map: oast1}\n"),
              HasSubstr("data.map.kind: 'oast1' is none of: columns, alpaca"));
  EXPECT_THAT(ErrorOf("model: m\ndata: {source: d, choose: random}\n"),
              HasSubstr("data[0].choose: random needs max_records"));
  EXPECT_THAT(
      ErrorOf("model: m\ndata: d\ntrain: {evaluate: {sets: [mmlu]}}\n"),
      HasSubstr("train.evaluate.sets: there is no benchmark 'mmlu': give mmlu_five_shot, or a .json file"));
  EXPECT_THAT(
      ErrorOf("model: m\ndata: d\ntrain: {evaluate: {perplexity: [hf://a/b]}}\n"),
      HasSubstr("train.evaluate.perplexity: 'hf://a/b' lies on a hub: download it and give its path"));
  EXPECT_THAT(ErrorOf("model: m\ndata: d\ntrain: {evaluate: {prompt_files: ['']}}\n"),
              HasSubstr("train.evaluate.prompt_files: names a file without a name"));
  EXPECT_THAT(ErrorOf("model: m\ndata: d\ntrain: {evaluate: {perplexity: [a, b, c, d, e, f, g, h, i, j, k, "
                      "l, m, n, o, p, q]}}\n"),
              HasSubstr("train.evaluate.perplexity: names 17 files, and at most 16 are read"));
  EXPECT_THAT(ErrorOf("model: m\ndata: d\ntrain: {evaluate: {every_steps: 1, every_micro_batches: 1}}\n"),
              HasSubstr("every_micro_batches: stands beside every_steps"));
}

TEST(ParseJobTest, KindsOfAdaptersAreReadAndWrittenOnlyWhereTheyAreAsked) {
  auto spec = ParseJob(R"(model: m
data: d
method: {use_rslora: true, use_dora: true, rank_pattern: {q_proj: 8}, alpha_pattern: {".*[02].mlp.*": 2.5},
         modules_to_save: [embed_tokens]}
train: {optimizer: {loraplus_lr_ratio: 16}}
)",
                       "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->method.use_rslora && spec->method.use_dora);
  EXPECT_EQ(spec->method.rank_pattern.at("q_proj"), 8);
  EXPECT_EQ(spec->method.alpha_pattern.at(".*[02].mlp.*"), 2.5);
  EXPECT_EQ(spec->method.modules_to_save, std::vector<std::string>{"embed_tokens"});
  EXPECT_EQ(spec->train.optimizer.loraplus_lr_ratio, 16);
  EXPECT_EQ(ToJson(*FromJson(ToJson(*spec))), ToJson(*spec));
  spec = ParseJob("model: m\ndata: d\n", "job.yaml");
  for (const char* key : {"use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "modules_to_save",
                          "init_from", "loraplus_lr_ratio"}) {
    EXPECT_EQ(ToJson(*spec).find(key), std::string::npos) << key;
  }
}

TEST(ParseJobTest, KindsOfAdaptersThatMakeNoSenseAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"{rank_pattern: {q_proj: 0}}", "method.rank_pattern: q_proj: 0 is not between 1 and 1024"},
      {"{rank_pattern: {q_proj: 2.5}}", "method.rank_pattern: expects a mapping of names to whole numbers"},
      {"{alpha_pattern: {q_proj: -1}}", "method.alpha_pattern: q_proj: -1 is not between 0.001 and 65536"},
      {"{alpha_pattern: [1]}", "method.alpha_pattern: expects a mapping of names to numbers"},
      {"{kind: full, use_dora: true}", "method.use_dora: has no meaning for method full"},
      {"{kind: full, init_from: a}", "method.init_from: has no meaning for method full"},
      {"{init_from: a, rank: 4}", "method.rank: stands beside method.init_from"},
      {"{init_from: a, use_rslora: true}", "method.use_rslora: stands beside method.init_from"},
  };
  for (const auto& [method, said] : cases)
    EXPECT_THAT(ErrorOf(StrCat("model: m\ndata: d\nmethod: ", method, "\n")), HasSubstr(said));
  auto spec = ParseJob("model: m\ndata: d\nmethod: {init_from: hf://a/b}\n", "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(
      std::string(Message(CheckSupported(*spec))),
      HasSubstr(
          "method.init_from of an adapter that is not on this machine is not supported yet: download it"));
}

TEST(ParseJobTest, CompatGivesWhatIsNotWrittenXTunersValues) {
  auto spec =
      ParseJob("model: m\ndata: d\ncompat: xtuner-0.1.9\ntrain: {schedule: {by: step}}\n", "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->train.loss, "microbatch_mean");
  EXPECT_EQ(spec->train.tokenize, "pieces");
  EXPECT_EQ(spec->train.schedule.by, "step");
  EXPECT_EQ(spec->train.on_nonfinite, "skip");
  // A stored job says all of it, whatever compat comes to imply.
  EXPECT_EQ(ToJson(*FromJson(ToJson(*spec))), ToJson(*spec));
  EXPECT_TRUE(CheckSupported(*spec).ok());
  spec->model.encode_special_tokens = true;
  EXPECT_TRUE(CheckSupported(*spec).ok());
  spec->train.tokenize = "whole";
  EXPECT_THAT(
      std::string(Message(CheckSupported(*spec))),
      HasSubstr("model.encode_special_tokens is not supported yet: use false, or train.tokenize: pieces"));
  spec = ParseJob("model: m\ndata: d\ncompat: none\n", "job.yaml");
  EXPECT_EQ(spec->train.loss, "token_mean");
  EXPECT_EQ(spec->train.on_nonfinite, "stop");
}

TEST(ParseJobTest, DuplicateKeyIsRefused) {
  EXPECT_THAT(ErrorOf("model: m\ndata: d\nmodel: n\n"), HasSubstr("job.yaml:3: key 'model' appears twice"));
}

TEST(ParseJobTest, AliasBombIsRefused) {
  EXPECT_THAT(ErrorOf("a: &a [x,x]\nb: &b [*a,*a]\nmodel: m\ndata: d\n"), HasSubstr("anchors (&name)"));
}

TEST(ParseJobTest, BrokenYamlNamesLine) {
  EXPECT_THAT(ErrorOf("model: m\n  data: [\n"), HasSubstr("job.yaml:"));
}

TEST(ParseJobTest, TooDeepAndTooLongAreRefused) {
  EXPECT_THAT(ErrorOf(std::string(200, '[') + std::string(200, ']')), HasSubstr("levels"));
  EXPECT_THAT(ErrorOf(std::string(2 << 20, 'x')), HasSubstr("bytes"));
}

TEST(ParseJobTest, ManyValuesBelowALongKeyAreRefused) {
  std::string text = "? " + std::string(500'000, 'k') + "\n: [";
  for (int i = 0; i < 50'000; ++i) text += "1, ";
  EXPECT_THAT(ErrorOf(text + "1]\n"), HasSubstr("keys too long"));
}

TEST(ParseJobTest, MoreKeysThanAnyJobHasAreRefused) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += StrCat("k", i, ": 1\n");
  EXPECT_THAT(ErrorOf(text), HasSubstr("more than 4096 keys"));
}

TEST(ParseJobTest, MissingModelAndDataAreNamedTogether) {
  const std::string error = ErrorOf("name: x\n");
  EXPECT_THAT(error, HasSubstr("model: is missing"));
  EXPECT_THAT(error, HasSubstr("data: is missing"));
}

TEST(ParseJobTest, RanksMustBePowersOfTwo) {
  EXPECT_THAT(ErrorOf("model: m\ndata: d\ntrain: {loss_scale: {initial: 1000}}\n"),
              HasSubstr("1000 is not a power of two"));
  EXPECT_THAT(ErrorOf("model: m\ndata: d\ntrain: {packed_length: 9, max_length: 10}\n"),
              HasSubstr("train.packed_length: 9 is less than train.max_length 10"));
  EXPECT_THAT(ErrorOf("model: m\ndata: d\nparallel: {ranks: 3}\n"), HasSubstr("ranks(3) and max_ranks(3)"));
}

TEST(WithOverridesTest, SetsNestedKeysAndRefusesNonsense) {
  auto text = WithOverrides("model: m\ndata: d\n", {"train.optimizer.lr=1e-3", "name=a b"});
  ASSERT_TRUE(text.ok());
  auto spec = ParseJob(*text, "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->train.optimizer.lr, 1e-3);
  EXPECT_EQ(spec->name, "a b");
  EXPECT_FALSE(WithOverrides("model: m\n", {"nonsense"}).ok());
  EXPECT_FALSE(WithOverrides("model: m\n", {"model.source.x=1"}).ok());
}

TEST(CheckSupportedTest, AFamilyThatIsNotBuiltIsToldTheNearest) {
  EXPECT_THAT(
      std::string(Message(CheckFamily("qwen22"))),
      HasSubstr("model family \"qwen22\" is not supported by this version, the nearest that is: qwen2 "
                "(supported: baichuan, chatglm, "));
  EXPECT_THAT(std::string(Message(CheckFamily("some-other-thing"))),
              HasSubstr("model family \"some-other-thing\" is not supported by this version (supported: "));
  EXPECT_TRUE(CheckFamily("llama").ok());
  EXPECT_TRUE(CheckFamily("gpt_bigcode").ok());
}

TEST(CheckSupportedTest, RefusesByName) {
  JobSpec spec;
  EXPECT_TRUE(CheckSupported(spec).ok());
  spec.model.encode_special_tokens = true;
  EXPECT_EQ(Message(CheckSupported(spec)),
            "model.encode_special_tokens is not supported yet: use false, or train.tokenize: pieces, which "
            "reads markup in every text");
}

TEST(CheckSupportedTest, EveryKindOfOptimizerRunsOnEveryDevice) {
  JobSpec spec;
  for (const char* kind : {"adamw", "paged_adamw", "adamw_8bit", "sgd"}) {
    for (const char* device : {"auto", "cpu", "gpu"}) {
      spec.train.optimizer.kind = kind;
      spec.resources.device = device;
      EXPECT_TRUE(CheckSupported(spec).ok()) << kind << " on " << device;
    }
  }
}

TEST(ParseJobTest, OptimizersAreOfFourKindsAndRatesAreChosenForAdamW) {
  const auto answer = [](std::string_view optimizer) {
    const auto spec =
        ParseJob(StrCat("model: m\ndata: d\ntrain: {optimizer: ", optimizer, "}\n"), "job.yaml");
    return spec.ok() ? spec->train.optimizer.kind : std::string(Message(spec.status()));
  };
  EXPECT_EQ(answer("{kind: paged_adamw}"), "paged_adamw");
  EXPECT_EQ(answer("{kind: adamw_8bit}"), "adamw_8bit");
  EXPECT_EQ(answer("{kind: sgd, lr: 0.1}"), "sgd");
  EXPECT_THAT(answer("{kind: sgd}"),
              HasSubstr("train.optimizer.lr: is missing: rates are chosen for AdamW only"));
  EXPECT_THAT(answer("{kind: adam}"),
              HasSubstr("train.optimizer.kind: 'adam' is none of: adamw, paged_adamw, "
                        "adamw_8bit, sgd"));
}

TEST(CheckSupportedTest, PartsOfDataSetsAreOfHubsAndFolders) {
  const auto check = [](const char* source) {
    const auto spec =
        ParseJob(StrCat("model: hf://a/b\ndata: {source: \"", source, "\", split: test, subset: x}\n"), "j");
    EXPECT_TRUE(spec.ok()) << spec.status();
    return std::string(Message(CheckSupported(*spec)));
  };
  EXPECT_EQ(check("hf://c/d"), "");
  EXPECT_EQ(check("modelscope://c/d@v1"), "");
  EXPECT_EQ(check("folder"), "");
  EXPECT_THAT(check("upload://x/d.jsonl"), HasSubstr("they choose files of a folder or of a hub"));
  EXPECT_THAT(check("https://c/d"), HasSubstr("data[0].source: 'https://c/d' lies on the web"));
}

TEST(ParseJobTest, TheLedgersStepsAreThoseOfTheMethodUnlessTheJobSaysSo) {
  const auto every = [](const char* more) {
    return LedgerEvery(*ParseJob(StrCat("model: m\ndata: d\n", more), "job.yaml"));
  };
  EXPECT_EQ(every(""), 1);
  EXPECT_EQ(every("method: {kind: full}\n"), 16);
  EXPECT_EQ(every("method: {kind: full}\ntrain: {ledger_every: 1}\n"), 1);
  EXPECT_EQ(every("train: {ledger_every: 100}\n"), 100);
  EXPECT_THAT(ErrorOf("model: m\ndata: d\ntrain: {ledger_every: 0}\n"),
              HasSubstr("job.yaml:3: train.ledger_every: 0 is not between 1 and 1e+09"));
  // What is chosen is not written, so that what is written reads back.
  EXPECT_EQ(ToWholeTree(*ParseJob("model: m\ndata: d\n", "job.yaml"))["train"].count("ledger_every"), 0u);
}

// Agents of older versions refuse keys that they do not know.
TEST(OrdinaryJson, KeysThatOlderProgramsDoNotKnowAreWrittenOnlyWhereTheyAreSet) {
  auto spec = ParseJob("model: m\ndata: {source: book.txt, format: text}\n", "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  for (const char* key : {"documents", "loss_on", "compat", "eos_token", "encode_special_tokens", "choose",
                          "\"weight\"", "subset", "folder", "split", "\"by\"", "every_epochs",
                          "every_micro_batches", "\"system\"", "stop_words", "\"kind\": \"columns\""}) {
    EXPECT_EQ(ToJson(*spec).find(key), std::string::npos) << key;
    EXPECT_NE(ToWholeTree(*ParseJob("model: m\ndata: {source: d, map: {input: q}}\n", "j"))
                  .dump()
                  .find(key == std::string("\"kind\": \"columns\"") ? "\"kind\":\"columns\"" : key),
              std::string::npos)
        << key;
  }
  EXPECT_EQ(FromJson(ToJson(*spec))->data[0].documents, "auto");
  spec->data[0].documents = "file";
  EXPECT_EQ(FromJson(ToJson(*spec))->data[0].documents, "file");
}

// Older agents refuse the 0 of what the data is to choose, and take their own default where nothing is written.
TEST(OrdinaryJson, WhatIsLeftOpenIsNotWritten) {
  auto spec = ParseJob("model: m\ndata: d\nmethod: {rank: 0, alpha: 8}\ntrain: {epochs: 0}\n", "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  const auto json = nlohmann::json::parse(ToJson(*spec));
  EXPECT_FALSE(json["method"].contains("rank"));
  EXPECT_EQ(json["method"]["alpha"], 8);
  EXPECT_FALSE(json["train"].contains("epochs"));
  EXPECT_FALSE(json["train"]["optimizer"].contains("lr"));
  spec->train.epochs = 5;
  spec->train.optimizer.lr = 1e-3;
  EXPECT_EQ(FromJson(ToJson(*spec))->train.epochs, 5);
  EXPECT_EQ(FromJson(ToJson(*spec))->train.optimizer.lr, 1e-3);
  EXPECT_EQ(FromJson(ToJson(*spec))->method.rank, 0);
  EXPECT_THAT(ErrorOf("model: m\ndata: d\nmethod: {rank: -1, alpha: 0.0001}\n"),
              HasSubstr("rank: -1 is not between 1 and 1024"));
  EXPECT_THAT(ErrorOf("model: m\ndata: d\nmethod: {rank: -1, alpha: 0.0001}\n"),
              HasSubstr("alpha: 0.0001 is not between 0.001"));
}

// 196
TEST(CasesOverrides, KeysOfTheOnlySourceAreSetWithoutItsNumber) {
  for (const char* yaml : {"model: m\ndata: d\n", "model: m\ndata: [d]\n", "model: m\ndata: [{source: d}]\n",
                           "model: m\ndata: {source: d}\n"}) {
    for (const char* set : {"data.map={input: q, output: a}", "data[0].map={input: q, output: a}"}) {
      const auto text = WithOverrides(yaml, {set});
      ASSERT_TRUE(text.ok()) << yaml << text.status();
      const auto spec = ParseJob(*text, "job.yaml");
      ASSERT_TRUE(spec.ok()) << spec.status();
      EXPECT_EQ(spec->data[0].source, "d");
      ASSERT_TRUE(spec->data[0].map.has_value());
      EXPECT_EQ(spec->data[0].map->output, "a");
    }
  }
  const std::string two = "model: m\ndata: [a, b]\n";
  EXPECT_THAT(std::string(Message(WithOverrides(two, {"data.map.input=q"}).status())),
              HasSubstr("there are 2 sources"));
  EXPECT_EQ(ParseJob(*WithOverrides(two, {"data[1].map.input=q"}), "j")->data[1].map->input, "q");
  EXPECT_THAT(std::string(Message(WithOverrides(two, {"data[2].map.input=q"}).status())),
              HasSubstr("there are only 2"));
}

// 198
TEST(CasesOverrides, AKeyWithoutWhatIsAboveItIsToldItsPlace) {
  EXPECT_THAT(ErrorOf("model: m\ndata: d\nepochs: 5\n"),
              HasSubstr("epochs: unknown key, did you mean 'train.epochs'?"));
  EXPECT_THAT(ErrorOf("model: m\ndata: d\nmap: {input: a}\n"), HasSubstr("did you mean 'data.map'?"));
}

// 194
TEST(CasesNames, NamesThatAreNoneAreRefused) {
  for (const char* name : {"a/b", "..", ".", "-dash", "a\tb", "a\nb", "\x1b[1m"})
    EXPECT_NE(WrongWithName(name), "") << name;
  for (const char* name : {"", "qa", "my data", "医疗问答", "a.b", "it's", "a-b"})
    EXPECT_EQ(WrongWithName(name), "") << name;
  EXPECT_THAT(ErrorOf("name: a/b\nmodel: m\ndata: d\n"), HasSubstr("name: 'a/b' holds a '/'"));
}

}  // namespace
}  // namespace ft::recipe
