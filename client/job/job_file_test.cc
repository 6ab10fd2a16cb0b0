#include "client/job/job_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "client/job/data_digest.h"
#include "core/recipe/parse.h"
#include "tests/support/temp_dir.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

void Touch(const fs::path& path, std::string_view text = "x") { std::ofstream(path) << text; }

TEST(JobFileTest, RunsArgumentsBecomeAJobFile) {
  JobText text = QuickJobText({.model = "./Smol LM", .data = {"我的 \"数据\".xlsx"}}, "/base");
  const auto spec = CheckJob(text, {});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "我的 \"数据\"");
  EXPECT_EQ(spec->model.source, "./Smol LM");
  ASSERT_EQ(spec->data.size(), 1u);
  EXPECT_EQ(spec->data[0].source, "我的 \"数据\".xlsx");
}

TEST(JobFileTest, RunsArgumentsTakeNamesAndOverrides) {
  JobText text = QuickJobText({.model = "m", .data = {"a.csv", "b.csv"}, .name = "qa"}, "/base");
  const auto spec = CheckJob(text, {"train.epochs=5", "method.rank=8"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "qa");
  EXPECT_EQ(spec->data.size(), 2u);
  EXPECT_EQ(spec->train.epochs, 5);
  EXPECT_EQ(spec->method.rank, 8);
}

TEST(JobFileTest, BadOverridesAndUnsupportedSettingsAreInvalid) {
  JobText text = QuickJobText({.model = "m", .data = {"a.csv"}}, "/base");
  EXPECT_TRUE(absl::IsInvalidArgument(CheckJob(text, {"train.epochs"}).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(CheckJob(text, {"method=full", "parallel.offload.parameters=disk"}).status()));
}

TEST(JobFileTest, PathsBecomeAbsoluteFromTheFilesFolder) {
  const ft::testing::TempDir dir;
  fs::create_directories(dir / "data");
  fs::create_directories(dir / "jobs");
  Touch(dir / "data/qa.csv");
  Touch(dir / "jobs/model.gguf");
  fs::create_directories(dir / "jobs/first");
  Touch(
      dir / "jobs/job.yaml",
      "model: model.gguf\ndata:\n  - source: ../data/qa.csv\n  - hf://org/set\nmethod: {init_from: first}\n");
  const auto text = ReadJobText((dir / "jobs/job.yaml").string());
  ASSERT_TRUE(text.ok()) << text.status();
  const auto absolute = WithAbsolutePaths(*text);
  ASSERT_TRUE(absolute.ok()) << absolute.status();
  const auto spec = recipe::ParseJob(*absolute, "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->model.source, (dir / "jobs/model.gguf").string());
  EXPECT_EQ(spec->data[0].source, (dir / "data/qa.csv").string());
  EXPECT_EQ(spec->data[1].source, "hf://org/set");
  EXPECT_EQ(spec->method.init_from, (dir / "jobs/first").string());
}

// The name of a benchmark stands for XTuner's file of it beside the job file; where it is not there, it is said where it is from.
TEST(JobFileTest, ABenchmarkIsAFile) {
  const ft::testing::TempDir dir;
  Touch(dir / "m.gguf");
  Touch(dir / "d.csv");
  Touch(dir / "own.json");
  Touch(dir / "job.yaml",
        "model: m.gguf\ndata: d.csv\ntrain:\n  evaluate: {sets: [mmlu_five_shot, own.json]}\n");
  const auto text = ReadJobText((dir / "job.yaml").string());
  ASSERT_TRUE(text.ok()) << text.status();
  const std::string said(Message(WithAbsolutePaths(*text).status()));
  EXPECT_NE(said.find("train.evaluate.sets: there is nothing at " +
                      (dir / "data/mmlu/five_shot_mmlu_val.json").string()),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("the questions are from https://github.com/artidoro/qlora (data/mmlu)"),
            std::string::npos);
  fs::create_directories(dir / "data/mmlu");
  Touch(dir / "data/mmlu/five_shot_mmlu_val.json");
  const auto absolute = WithAbsolutePaths(*text);
  ASSERT_TRUE(absolute.ok()) << absolute.status();
  const auto spec = recipe::ParseJob(*absolute, "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->train.evaluate.sets,
            (std::vector<std::string>{(dir / "data/mmlu/five_shot_mmlu_val.json").string(),
                                      (dir / "own.json").string()}));
}

TEST(JobFileTest, FilesOfAnEvaluationLieBesideTheJobFile) {
  const ft::testing::TempDir dir;
  for (const char* name : {"m.gguf", "d.csv", "ask.txt", "wiki.txt"}) Touch(dir / name);
  Touch(
      dir / "job.yaml",
      "model: m.gguf\ndata: d.csv\ntrain:\n  evaluate: {prompt_files: [ask.txt], perplexity: [wiki.txt]}\n");
  const auto text = ReadJobText((dir / "job.yaml").string());
  ASSERT_TRUE(text.ok()) << text.status();
  const auto absolute = WithAbsolutePaths(*text);
  ASSERT_TRUE(absolute.ok()) << absolute.status();
  const auto spec = recipe::ParseJob(*absolute, "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->train.evaluate.prompt_files, std::vector<std::string>{(dir / "ask.txt").string()});
  EXPECT_EQ(spec->train.evaluate.perplexity, std::vector<std::string>{(dir / "wiki.txt").string()});
  fs::remove(dir / "wiki.txt");
  const std::string said(Message(WithAbsolutePaths(*text).status()));
  EXPECT_NE(said.find("train.evaluate.perplexity: there is nothing at " + (dir / "wiki.txt").string()),
            std::string::npos)
      << said;
}

TEST(JobFileTest, TextWithoutLocalPathsStaysAsItIs) {
  const std::string yaml = "# mine\nmodel: hf://a/b\ndata: hf://c/d   # both far\n";
  EXPECT_EQ(*WithAbsolutePaths({.yaml = yaml, .file_name = "j", .base = "/"}), yaml);
}

TEST(JobFileTest, MissingDataIsNamedWithKeyAndPath) {
  const Status status =
      WithAbsolutePaths(
          {.yaml = "model: hf://a/b\ndata: [none.csv]\n", .file_name = "j.yaml", .base = "/nowhere"})
          .status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("j.yaml: data[0]: there is nothing at /nowhere/none.csv"),
            std::string_view::npos)
      << status;
}

TEST(JobFileTest, MissingJobFileIsInvalidAndNamed) {
  const Status status = ReadJobText("/nowhere/job.yaml").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("/nowhere/job.yaml"), std::string_view::npos);
}

TEST(JobFileTest, ARecipesNameStandsForAJobFile) {
  auto text = ReadJobText("llama2_7b_qlora_sql_e3");
  ASSERT_TRUE(text.ok()) << text.status();
  const auto spec = ResolveJob(*text, {"model.source=./m", "train.epochs=1"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(text->from_recipe);
  EXPECT_EQ(spec->name, "llama2_7b_qlora_sql_e3");
  EXPECT_EQ(spec->model.source, "./m");
  EXPECT_EQ(spec->train.epochs, 1);
  EXPECT_NE(text->model_config.find("\"hidden_size\": 4096"), std::string::npos);
  EXPECT_TRUE(text->remarks.empty());
}

TEST(JobFileTest, ARecipeMayBeAFileBesideTheJobFile) {
  const ft::testing::TempDir dir;
  Touch(dir / "mine.yaml", "recipe: llama2_7b_qlora_sql_e3\ntrain: {epochs: 2}\n");
  Touch(dir / "job.yaml", "recipe: mine.yaml\nmodel: m\n");
  auto text = ReadJobText((dir / "job.yaml").string());
  ASSERT_TRUE(text.ok()) << text.status();
  const auto spec = ResolveJob(*text, {});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->train.epochs, 2);
  EXPECT_EQ(spec->model.source, "m");
  Touch(dir / "job.yaml", "recipe: none.yaml\n");
  text = ReadJobText((dir / "job.yaml").string());
  const Status status = ResolveJob(*text, {}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("job.yaml:1: recipe: there is no file " + (dir / "none.yaml").string()),
            std::string_view::npos)
      << status;
}

TEST(JobFileTest, AnUnknownRecipeIsToldThreeNearOnes) {
  const Status status = ReadJobText("llama2_7b_qlora_sgl_e3").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(
      Message(status).find(
          "there is no file llama2_7b_qlora_sgl_e3, and there is no recipe 'llama2_7b_qlora_sgl_e3'; the "
          "nearest are llama2_7b_qlora_sql_e3, "),
      std::string_view::npos)
      << status;
}

TEST(JobFileTest, AKeyThatARecipeDoesNotHaveIsRefused) {
  auto text = ReadJobText("llama2_7b_qlora_sql_e3");
  const Status status = ResolveJob(*text, {"train.lrr=1"}).status();
  EXPECT_EQ(Message(status), "llama2_7b_qlora_sql_e3 with --set: train.lrr: unknown key") << status;
  text = ReadJobText("llama2_7b_qlora_sql_e3");
  EXPECT_NE(Message(ResolveJob(*text, {"train.epocs=1"}).status()).find("did you mean 'epochs'?"),
            std::string_view::npos);
}

// What a recipe asks for and this version does not do is refused by name, and each line says what does work.
TEST(JobFileTest, ARecipeIsRefusedForWhatIsNotBuilt) {
  auto text = ReadJobText("llama2_7b_qlora_oasst1_e3");
  const std::string said(
      Message(CheckJob(*text, {"method.kind=full", "parallel.offload.parameters=cpu"}).status()));
  EXPECT_NE(said.find("parallel.offload.parameters needs zero: 3, or a base that is not trained"),
            std::string::npos)
      << said;
  text = ReadJobText("llama2_7b_qlora_oasst1_e3");
  const auto spec = CheckJob(*text, {"compat=none", "model.source=/m", "data=/d.jsonl"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->train.loss, "token_mean");
  EXPECT_EQ(spec->method.rank, 64);
}

TEST(JobFileTest, AModelWhoseFamilyIsNotBuiltIsRefusedBeforeItIsSent) {
  const ft::testing::TempDir dir;
  fs::create_directories(dir / "m");
  Touch(dir / "m/config.json", "{\"model_type\": \"chatglm9\"}");
  JobText text = QuickJobText({.model = (dir / "m").string(), .data = {"d"}}, "/base");
  const Status status = CheckJob(text, {}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(
      Message(status).find("model family \"chatglm9\" is not supported by this version, the nearest that is: "
                           "chatglm (supported: "),
      std::string_view::npos)
      << status;
  Touch(dir / "m/config.json", "{\"model_type\": \"llama\"}");
  EXPECT_TRUE(CheckJob(text, {}).ok());
  Touch(dir / "m/config.json", "no JSON");  // Whoever reads the model says so.
  EXPECT_TRUE(CheckJob(text, {}).ok());
}

TEST(JobFileTest, AnAbsentFileOfARecipeIsToldWhereToGet) {
  auto text = ReadJobText("llama2_7b_qlora_lawyer_e3");
  ASSERT_TRUE(ResolveJob(*text, {"model.source=hf://a/b"}).ok());
  text->base = "/nowhere";
  const Status status = WithAbsolutePaths(*text).status();
  EXPECT_NE(Message(status).find("there is nothing at /nowhere/data/CrimeKgAssitant清洗后_52k.json"),
            std::string_view::npos)
      << status;
  EXPECT_NE(Message(status).find("the recipe's file is from https://github.com/LiuHC0428/LAW-GPT"),
            std::string_view::npos)
      << status;
  // One that has to be made says by what.
  auto arxiv = ReadJobText("internlm_7b_qlora_arxiv_gentitle_e3");
  ASSERT_TRUE(ResolveJob(*arxiv, {"model.source=hf://a/b"}).ok());
  arxiv->base = "/nowhere";
  const Status made = WithAbsolutePaths(*arxiv).status();
  EXPECT_NE(Message(made).find("Cornell-University/arxiv on Kaggle"), std::string_view::npos) << made;
  EXPECT_NE(Message(made).find("ftctl preprocess arxiv"), std::string_view::npos) << made;
}

// 196
TEST(CasesJobFile, MapsOfTheCommandLineNameColumns) {
  JobText text = QuickJobText({.model = "m", .data = {"q.csv"}}, "/base");
  const auto set = MapAssignment("input=读者, 提问,output=yes,system=Be brief.");
  ASSERT_TRUE(set.ok()) << set.status();
  const auto spec = CheckJob(text, {*set});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->data[0].map->input, "读者, 提问");
  EXPECT_EQ(spec->data[0].map->output, "yes");
  EXPECT_EQ(spec->data[0].map->system, "Be brief.");
  for (const char* wrong : {"", "a,b", "input=,output=b", "input=a,input=b"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(MapAssignment(wrong).status())) << wrong;
  }
}

// 198
TEST(CasesJobFile, DataAndModelsAreNoJobFiles) {
  const ft::testing::TempDir dir;
  Touch(dir / "q.xlsx", std::string("PK\x03\x04\0\x12", 6));
  Touch(dir / "renamed.yaml", std::string("PK\x03\x04\0\x12", 6));
  Touch(dir / "a.jsonl", "{}");
  Touch(dir / "list.json", "[{}]");
  Touch(dir / "p.parquet", "PAR1");
  Touch(dir / "m.gguf", "GGUF");
  Touch(dir / "job.json", "{\"model\": \"m\", \"data\": \"d\"}");
  const auto said = [&](const char* name) {
    return std::string(Message(ReadJobText((dir / name).string()).status()));
  };
  EXPECT_NE(said("q.xlsx").find("q.xlsx is a workbook and no job file: give it with --data"),
            std::string::npos);
  EXPECT_NE(said("renamed.yaml").find("is a workbook"), std::string::npos);
  EXPECT_NE(said("a.jsonl").find("give it with --data"), std::string::npos);
  EXPECT_NE(said("list.json").find("give it with --data"), std::string::npos);
  EXPECT_NE(said("p.parquet").find("p.parquet is a parquet file and no job file: give it with --data"),
            std::string::npos);
  EXPECT_NE(said("m.gguf").find("give it with --model"), std::string::npos);
  EXPECT_TRUE(ReadJobText((dir / "job.json").string()).ok());
}

// 197
TEST(CasesJobFile, NamesOnHubsAreToldHowToWriteThem) {
  auto web = QuickJobText({.model = "https://huggingface.co/a/b", .data = {"d"}}, "/");
  const Status refused = CheckJob(web, {}).status();
  EXPECT_NE(Message(refused).find("download it first and give the file"), std::string_view::npos) << refused;
  for (const char* model : {"hf://a/b", "modelscope://a/b@v1", "upload://abc/d"}) {
    auto text = QuickJobText({.model = model, .data = {"d"}}, "/");
    EXPECT_TRUE(CheckJob(text, {}).ok()) << model;
  }
  const Status named =
      WithAbsolutePaths(QuickJobText({.model = "Org/Model-1B", .data = {"d"}}, "/nowhere")).status();
  EXPECT_NE(Message(named).find("write hf://Org/Model-1B or modelscope://Org/Model-1B"),
            std::string_view::npos)
      << named;
}

// 192
TEST(CasesJobFile, EditedDataAreNoticed) {
  const ft::testing::TempDir dir;
  Touch(dir / "a.jsonl", "one");
  Touch(dir / "b.jsonl", "two");
  recipe::JobSpec spec;
  spec.data = {{.source = (dir / "a.jsonl").string()},
               {.source = (dir / "b.jsonl").string()},
               {.source = "/nowhere/c"}};
  const std::string before = DataDigests(spec);
  EXPECT_TRUE(ChangedData(spec, before).empty());
  Touch(dir / "b.jsonl", "ten");
  EXPECT_EQ(ChangedData(spec, before), std::vector<std::string>{(dir / "b.jsonl").string()});
  EXPECT_TRUE(ChangedData(spec, "").empty());
}

}  // namespace
}  // namespace ft::client
