#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/plan/config_shape.h"
#include "core/recipe/json.h"
#include "core/recipe/parse.h"
#include "core/recipe/yaml_text.h"
#include "core/recipes/builtin_files.h"
#include "core/recipes/layers.h"
#include "core/recipes/names.h"
#include "core/recipes/resolve.h"
#include "core/recipes/texts.h"

namespace ft::recipes {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;

// Recipe files of a test, by path.
using Files = std::map<std::string, std::string>;

StatusOr<Resolved> ResolveText(const std::string& yaml, const std::vector<std::string>& sets = {},
                               const Files& files = {}) {
  return Resolve({.yaml = yaml, .file_name = "job.yaml", .folder = "/jobs"}, sets,
                 [&files](const fs::path& path) -> StatusOr<std::string> {
                   const auto found = files.find(path.string());
                   if (found == files.end())
                     return absl::NotFoundError(StrCat("there is no file ", path.string()));
                   return found->second;
                 });
}

recipe::JobSpec SpecOf(const std::string& yaml, const std::vector<std::string>& sets = {},
                       const Files& files = {}) {
  const auto resolved = ResolveText(yaml, sets, files);
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  if (!resolved.ok()) return {};
  const auto spec = recipe::ParseJob(resolved->job.dump(), "resolved");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : recipe::JobSpec();
}

std::string ErrorOf(const std::string& yaml, const std::vector<std::string>& sets = {},
                    const Files& files = {}) {
  const auto resolved = ResolveText(yaml, sets, files);
  return resolved.ok() ? "" : std::string(Message(resolved.status()));
}

TEST(RecipeNamesTest, AllNamesOfXTunerAreThere) {
  size_t training = 0;
  for (const Name& name : AllNames()) {
    training += name.is_training() ? 1 : 0;
    EXPECT_EQ(FindName(name.name), &name) << name.name << " is there twice, or out of order";
  }
  EXPECT_EQ(AllNames().size(), 301u);
  EXPECT_EQ(training, 296u);
  EXPECT_EQ(FindName("internlm_7b_qlora_oasst1_e3")->task, "oasst1_e3");
  EXPECT_EQ(FindName("internlm_7b"), nullptr);
}

TEST(RecipeNamesTest, AnUnknownNameIsToldThreeNearOnes) {
  const std::string error(Message(NoSuchRecipe("internlm_7b_qlora_oast1_e3")));
  EXPECT_THAT(
      error,
      HasSubstr(
          "there is no recipe 'internlm_7b_qlora_oast1_e3'; the nearest are internlm_7b_qlora_oasst1_e3, "));
  EXPECT_THAT(error, HasSubstr(" and "));
}

// Compared with every name, so its length must not matter.
TEST(RecipeNamesTest, AnEndlessNameIsCut) {
  const std::string error(Message(NoSuchRecipe(std::string(1 << 20, 'q'))));
  EXPECT_LT(error.size(), 500u);
  EXPECT_THAT(error, HasSubstr("qqq...'; the nearest are "));
}

// The names of a job file's parallel.deepspeed are these recipes.
TEST(RecipeNamesTest, ZeroSettingsAreWhatTheirNamesMean) {
  int settings = 0;
  for (const Name& name : AllNames()) {
    if (name.is_training()) continue;
    ++settings;
    const std::string_view keys = FindBuiltin(StrCat("zero/", name.name, ".yaml"))->text;
    const recipe::JobSpec by_keys = SpecOf(StrCat("recipe: llama2_7b_qlora_sql_e3\n", keys));
    const recipe::JobSpec by_name =
        SpecOf(StrCat("recipe: llama2_7b_qlora_sql_e3\nparallel: {deepspeed: ", name.name, "}\n"));
    EXPECT_GT(by_name.parallel.zero, 0);
    EXPECT_EQ(recipe::ToJson(by_name), recipe::ToJson(by_keys)) << name.name;
  }
  EXPECT_EQ(settings, 5);
}

// Every file of ours is sound, every name resolves to a whole job file, and what is shown reads back as the same job.
TEST(BuiltinRecipesTest, EveryNameIsAWholeJobThatReadsBack) {
  for (const Name& name : AllNames()) {
    if (!name.is_training()) continue;
    const recipe::JobSpec spec = SpecOf(StrCat("recipe: ", name.name));
    const std::string shown = recipe::ToYaml(recipe::ToWholeTree(spec));
    const auto again = recipe::ParseJob(shown, name.name);
    ASSERT_TRUE(again.ok()) << again.status() << shown;
    EXPECT_EQ(recipe::ToJson(*again), recipe::ToJson(spec)) << name.name;
    EXPECT_EQ(spec.compat, "xtuner-0.1.9");
    EXPECT_EQ(shown.find("{bot_name}"), std::string::npos) << name.name;
  }
}

TEST(BuiltinRecipesTest, NoFileIsWithoutUse) {
  std::set<std::string> used = {"bases/xtuner.yaml", "tasks/hf.yaml", "names.yaml", "texts.yaml"};
  std::set<std::string> sources;
  for (const Name& name : AllNames()) {
    if (!name.is_training()) {
      used.insert(StrCat("zero/", name.name, ".yaml"));
      continue;
    }
    for (const auto& path : {StrCat("bases/", name.method, ".yaml"), StrCat("models/", name.model, ".yaml"),
                             StrCat("tasks/", name.task, ".yaml")}) {
      used.insert(path);
    }
    const auto model = MergedBuiltin(StrCat("models/", name.model, ".yaml"));
    ASSERT_TRUE(model.ok()) << model.status();
    used.insert((*model)["config"].get<std::string>().substr(std::string_view("builtin://").size()));
    const auto task = MergedBuiltin(StrCat("tasks/", name.task, ".yaml"));
    ASSERT_TRUE(task.ok()) << task.status();
    for (const Json& source : (*task)["sources"])
      used.insert(StrCat("data/", source.get<std::string>(), ".yaml"));
  }
  for (const BuiltinFile& file : BuiltinFiles())
    EXPECT_TRUE(used.contains(std::string(file.path))) << file.path;
}

// Published sizes of the base models, in millions.
TEST(BuiltinRecipesTest, ModelsHaveTheirPublishedSizes) {
  const std::map<std::string, double> kMillions = {{"internlm_7b", 7321.9},
                                                   {"internlm_20b", 20088.7},
                                                   {"llama_7b", 6738.4},
                                                   {"llama2_7b", 6738.4},
                                                   {"llama2_70b", 68976.6},
                                                   {"baichuan_7b", 7000.6},
                                                   {"baichuan_13b_base", 13264.9},
                                                   {"baichuan2_7b_base", 7506.0},
                                                   {"baichuan2_13b_base", 13896.7},
                                                   {"chatglm2_6b", 6243.6},
                                                   {"chatglm3_6b", 6243.6},
                                                   {"qwen_7b", 7721.3},
                                                   {"mistral_7b", 7241.7},
                                                   {"starcoder", 15517.5},
                                                   {"yi_6b", 6061.0},
                                                   {"yi_34b", 34388.9}};
  size_t models = 0;
  for (const BuiltinFile& file : BuiltinFiles()) {
    if (!file.path.starts_with("models/") || !file.path.ends_with(".json")) continue;
    const std::string name(file.path.substr(7, file.path.size() - 12));
    const auto shape = plan::ShapeOfConfig(file.text, file.path);
    ASSERT_TRUE(shape.ok()) << shape.status();
    ASSERT_TRUE(kMillions.contains(name)) << name;
    EXPECT_NEAR(static_cast<double>(plan::ParameterCount(shape->shape)) / 1e6, kMillions.at(name), 0.05)
        << name;
    ++models;
  }
  EXPECT_EQ(models, kMillions.size());
}

TEST(ResolveTest, ABaseAModelAndATaskBecomeOneJob) {
  const recipe::JobSpec spec = SpecOf("recipe: qwen_7b_chat_qlora_oasst1_512_e3");
  EXPECT_EQ(spec.model.source, "hf://Qwen/Qwen-7B-Chat");
  EXPECT_EQ(spec.model.eos_token, "<|im_end|>");
  EXPECT_EQ(spec.method.rank, 64);
  EXPECT_EQ(spec.data[0].template_name, "qwen_chat@0.1.9");
  EXPECT_EQ(spec.data[0].map->kind, "oasst1");
  EXPECT_EQ(spec.train.max_length, 512);
  EXPECT_FALSE(spec.train.packing);
  EXPECT_EQ(spec.train.loss, "microbatch_mean");
  EXPECT_EQ(spec.train.schedule.by, "micro_batch");
  EXPECT_EQ(spec.fit, "off");
}

TEST(ResolveTest, RecipesForTheTrainerOfTransformersGoBySteps) {
  const recipe::JobSpec spec = SpecOf("recipe: llama2_70b_int8_lora_open_platypus_e1_hf");
  EXPECT_EQ(spec.train.schedule.by, "step");
  EXPECT_EQ(spec.train.schedule.warmup, 100);
  EXPECT_EQ(spec.train.checkpoint.every_steps, 1000);
  EXPECT_EQ(spec.train.checkpoint.every_epochs, 0);
  EXPECT_TRUE(spec.train.evaluate.prompts.empty());
  EXPECT_EQ(spec.method.targets, (std::vector<std::string>{"gate_proj", "down_proj", "up_proj"}));
  EXPECT_EQ(spec.train.optimizer.lr, 3e-4);
}

TEST(ResolveTest, APagedOptimizerStays) {
  const auto resolved = ResolveText("recipe: internlm_7b_qlora_oasst1_e3");
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->job["train"]["optimizer"]["kind"], "paged_adamw");
  EXPECT_TRUE(resolved->remarks.empty());
}

TEST(ResolveTest, EightGpusOnFewerRanksKeepTheirSequences) {
  const std::string recipe = "recipe: internlm_7b_qlora_msagent_react_e3_gpu8";
  EXPECT_EQ(SpecOf(recipe).parallel.ranks, 8);
  EXPECT_EQ(SpecOf(recipe).train.accumulation, 1);
  const auto two = ResolveText(recipe, {"parallel.ranks=2"});
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(two->job["train"]["accumulation"], 4);
  EXPECT_THAT(
      two->remarks[0],
      HasSubstr(
          "train.accumulation: 4 keeps the recipe's 64 sequences a step: 8 at once on parallel.ranks: 2"));
  EXPECT_EQ(SpecOf(recipe, {"parallel.ranks=2", "train.accumulation=1"}).train.accumulation, 1);
  EXPECT_THAT(ErrorOf(recipe, {"parallel.ranks=16"}),
              HasSubstr("do not divide the recipe's 64 sequences a step"));
}

TEST(ResolveTest, TheJobFileOverridesAndItsDataTakeTheRecipesTemplate) {
  const recipe::JobSpec spec = SpecOf(
      "recipe: internlm_chat_7b_qlora_oasst1_e3\nname: assistant\nmodel: ./m\ndata: mine.jsonl\n"
      "train: {max_length: 512, micro_batch: 2}\n");
  EXPECT_EQ(spec.name, "assistant");
  EXPECT_EQ(spec.model.source, "./m");
  EXPECT_EQ(spec.model.dtype, "fp16");
  ASSERT_EQ(spec.data.size(), 1u);
  EXPECT_EQ(spec.data[0].source, "mine.jsonl");
  EXPECT_FALSE(spec.data[0].map.has_value());
  EXPECT_EQ(spec.data[0].template_name, "internlm_chat@0.1.9");
  EXPECT_EQ(spec.train.accumulation, 16);
}

TEST(ResolveTest, AssignmentsReachOneSourceAndTheRecipesOwnKeys) {
  const recipe::JobSpec spec =
      SpecOf("recipe: internlm_7b_qlora_alpaca_enzh_e3", {"data[1].source=/d/zh.json", "template=default"});
  EXPECT_EQ(spec.data[0].source, "hf://tatsu-lab/alpaca");
  EXPECT_EQ(spec.data[1].source, "/d/zh.json");
  EXPECT_EQ(spec.data[1].map->kind, "alpaca_zh");
  EXPECT_EQ(spec.data[1].template_name, "default");
  EXPECT_EQ(SpecOf("recipe: internlm_7b_qlora_alpaca_e3", {"data=/d/own.jsonl"}).data[0].template_name,
            "internlm_chat@0.1.9");
}

TEST(ResolveTest, ARecipeFileStartsFromAnotherBesideIt) {
  const Files files = {
      {"/r/base.yaml",
       "recipe: more/method.yaml\nmodel: models/m\ndata: d.jsonl\ntrain: {epochs: 2, seed: 7}\n"},
      {"/r/more/method.yaml",
       "method: {kind: lora, init_from: first}\nconfig: sizes.json\n"
       "train: {evaluate: {sets: [mmlu_five_shot, q.json], prompt_files: [/p.txt], perplexity: "
       "[../w.txt]}}\n"},
      {"/r/more/sizes.json", "{}"}};
  const recipe::JobSpec spec = SpecOf("recipe: /r/base.yaml\ntrain: {epochs: 1}\n", {}, files);
  EXPECT_EQ(spec.method.kind, "lora");
  EXPECT_EQ(spec.model.source, "/r/models/m");  // Beside the file that says it.
  EXPECT_EQ(spec.data[0].source, "/r/d.jsonl");
  EXPECT_EQ(spec.train.epochs, 1);
  EXPECT_EQ(spec.train.seed, 7u);
  EXPECT_EQ(spec.method.init_from, "/r/more/first");
  EXPECT_EQ(spec.train.evaluate.sets, (std::vector<std::string>{"mmlu_five_shot", "/r/more/q.json"}));
  EXPECT_EQ(spec.train.evaluate.prompt_files, std::vector<std::string>{"/p.txt"});
  EXPECT_EQ(spec.train.evaluate.perplexity, std::vector<std::string>{"/r/w.txt"});
  EXPECT_EQ(spec.compat, "none");
  EXPECT_EQ(ResolveText("recipe: /r/base.yaml\n", {}, files)->model_config, "{}");
}

TEST(ResolveTest, TextsAreNamedAndBotsAreCalled) {
  const recipe::JobSpec moss = SpecOf("recipe: qwen_7b_qlora_moss_sft_plugins_e1");
  EXPECT_EQ(moss.data[0].map->bot_name, "Qwen");
  EXPECT_FALSE(moss.train.packing);
  EXPECT_THAT(moss.train.evaluate.system, HasSubstr("whose name is Qwen.\n"));
  EXPECT_EQ(moss.data[0].template_name, "model");  // Its records carry their own markup.
  EXPECT_EQ(SpecOf("recipe: qwen_7b_qlora_moss_sft_plugins_e1", {"bot_name=Finn"}).data[0].map->bot_name,
            "Finn");
  EXPECT_THAT(ErrorOf("recipe: qwen_7b_qlora_moss_sft_plugins_e1", {"bot_name=null"}),
              HasSubstr("give --set bot_name=NAME"));
  EXPECT_THAT(
      ErrorOf("recipe: qwen_7b_qlora_sql_e3\ntrain:\n  evaluate:\n    system: {text: codr}\n"),
      HasSubstr("job.yaml:4: train.evaluate.system: there is no text called 'codr', did you mean 'coder'?"));
}

TEST(SystemTextTest, TextsAreFoundByName) {
  EXPECT_THAT(*SystemText("medical"), HasSubstr("如果你是一名医生"));
  EXPECT_EQ(Message(SystemText("codr").status()), "there is no text called 'codr', did you mean 'coder'?");
}

TEST(RecipeErrorsTest, UnknownKeysAreNamedByFileAndLineWithTheNearest) {
  const Files files = {{"/r/base.yaml", "train: {epochs: 2}\ntemplte: default\n"}};
  EXPECT_THAT(ErrorOf("recipe: /r/base.yaml\n", {}, files),
              HasSubstr("/r/base.yaml:2: templte: unknown key, did you mean 'template'?"));
  EXPECT_THAT(ErrorOf("recipe: qwen_7b_qlora_sql_e3\ntrain:\n  epocs: 1\n"),
              HasSubstr("job.yaml:3: train.epocs: unknown key, did you mean 'epochs'?"));
}

TEST(RecipeErrorsTest, CirclesAreRefused) {
  const Files files = {{"/r/a.yaml", "recipe: b.yaml\n"},
                       {"/r/b.yaml", "\nrecipe: a.yaml\n"},
                       {"/jobs/x.yaml", "recipe: job.yaml\n"}};
  EXPECT_THAT(ErrorOf("recipe: /r/a.yaml\n", {}, files),
              HasSubstr("/r/b.yaml:2: recipe: /r/a.yaml would start from itself: /r/a.yaml -> /r/b.yaml -> "
                        "/r/a.yaml; take one of these out"));
  EXPECT_THAT(ErrorOf("recipe: x.yaml\n", {}, files), HasSubstr("/jobs/job.yaml would start from itself"));
  Files chain;
  for (int i = 0; i < 100; ++i) chain[StrCat("/r/", i, ".yaml")] = StrCat("recipe: ", i + 1, ".yaml\n");
  EXPECT_THAT(ErrorOf("recipe: /r/0.yaml\n", {}, chain),
              HasSubstr("more than 32 files start from each other"));
}

TEST(RecipeErrorsTest, WhatIsNotThereIsNamed) {
  EXPECT_THAT(ErrorOf("name: x\nrecipe: qwen_7b_qlora_sql\n"),
              HasSubstr("job.yaml:2: recipe: there is no recipe 'qwen_7b_qlora_sql'; the nearest are "
                        "qwen_7b_qlora_sql_e3"));
  EXPECT_THAT(ErrorOf("recipe: mine.yaml\n"),
              HasSubstr("job.yaml:1: recipe: there is no file /jobs/mine.yaml"));
  EXPECT_THAT(ErrorOf("recipe: deepspeed_zero2\n"),
              HasSubstr("is a ZeRO setting and no training recipe: give it with --deepspeed"));
  EXPECT_THAT(ErrorOf("recipe: qwen_7b_qlora_sql_e3\nsources: [alpaca]\n"),
              HasSubstr("there are no data called 'alpaca'"));
}

TEST(RecipeErrorsTest, WrongKindsOfValuesAreRefused) {
  EXPECT_THAT(ErrorOf("recipe: 3\n"), HasSubstr("job.yaml:1: recipe: expects text"));
  EXPECT_THAT(ErrorOf("recipe: qwen_7b_qlora_sql_e3\nsources: alpaca_en\n"),
              HasSubstr("job.yaml:2: sources: expects a list"));
  EXPECT_THAT(ErrorOf("recipe: qwen_7b_qlora_sql_e3\nsources: [sql]\ndata: d\n"),
              HasSubstr("sources: stands beside data"));
  EXPECT_THAT(ErrorOf("recipe: qwen_7b_qlora_sql_e3\nsequences_per_step: 0\n"),
              HasSubstr("sequences_per_step: expects a whole number"));
  EXPECT_THAT(ErrorOf("recipe: qwen_7b_qlora_sql_e3", {"template=[a]"}),
              HasSubstr("job.yaml with --set: template: expects text"));
  // What no check of one file sees: the parser of the whole refuses it.
  for (const char* set :
       {"train=3", "data=[1, [2]]", "data[0].format=[]", "data.map=4", "model=[]", "train.optimizer=x"}) {
    const auto resolved = ResolveText("recipe: qwen_7b_qlora_sql_e3", {set});
    if (resolved.ok()) {
      EXPECT_FALSE(recipe::ParseJob(resolved->job.dump(), "x").ok()) << set;
    }
  }
}

TEST(RecipeErrorsTest, WhereAFileCanBeHadIsKnown) {
  EXPECT_EQ(WhereToObtain("data/训练数据_带法律依据_92k.json"), "https://github.com/LiuHC0428/LAW-GPT");
  EXPECT_EQ(WhereToObtain("qa.xlsx"), "");
}

}  // namespace
}  // namespace ft::recipes
