#include "client/job/job_file.h"

#include <gtest/gtest.h>

#include <fstream>

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
  EXPECT_TRUE(absl::IsInvalidArgument(CheckJob(text, {"train.optimizer.kind=paged_adamw"}).status()));
}

TEST(JobFileTest, PathsBecomeAbsoluteFromTheFilesFolder) {
  const ft::testing::TempDir dir;
  fs::create_directories(dir / "data");
  fs::create_directories(dir / "jobs");
  Touch(dir / "data/qa.csv");
  Touch(dir / "jobs/model.gguf");
  Touch(dir / "jobs/job.yaml", "model: model.gguf\ndata:\n  - source: ../data/qa.csv\n  - hf://org/set\n");
  const auto text = ReadJobText((dir / "jobs/job.yaml").string());
  ASSERT_TRUE(text.ok()) << text.status();
  const auto absolute = WithAbsolutePaths(*text);
  ASSERT_TRUE(absolute.ok()) << absolute.status();
  const auto spec = recipe::ParseJob(*absolute, "job.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->model.source, (dir / "jobs/model.gguf").string());
  EXPECT_EQ(spec->data[0].source, (dir / "data/qa.csv").string());
  EXPECT_EQ(spec->data[1].source, "hf://org/set");
}

TEST(JobFileTest, TextWithoutLocalPathsStaysAsItIs) {
  const std::string yaml = "# mine\nmodel: hf://a/b\ndata: hf://c/d   # both far\n";
  EXPECT_EQ(*WithAbsolutePaths({.yaml = yaml, .file_name = "j", .base = "/"}), yaml);
}

TEST(JobFileTest, MissingDataIsNamedWithKeyAndPath) {
  const Status status =
      WithAbsolutePaths({.yaml = "model: hf://a/b\ndata: [none.csv]\n", .file_name = "j.yaml", .base = "/nowhere"})
          .status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("j.yaml: data[0]: there is nothing at /nowhere/none.csv"), std::string_view::npos)
      << status;
}

TEST(JobFileTest, MissingJobFileIsInvalidAndNamed) {
  const Status status = ReadJobText("/nowhere/job.yaml").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("/nowhere/job.yaml"), std::string_view::npos);
}

}  // namespace
}  // namespace ft::client
