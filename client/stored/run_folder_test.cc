#include "client/stored/run_folder.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

void Put(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

// A run with one attempt; `age` moves its job.json into the past.
void MakeRun(const fs::path& run, std::string_view name, bool with_adapter, std::chrono::minutes age) {
  const fs::path job = run / "attempts/2/job.json";
  Put(job, StrCat(R"({"spec": {"name": ")", name, R"(", "model": {"source": "/models/m"}}, "run": {}})"));
  if (with_adapter) Put(run / "attempts/2/adapter/adapter_config.json", "{}");
  fs::last_write_time(job, fs::file_time_type::clock::now() - age);
}

TEST(RunFolderTest, NamesAndIdsFindTheNewestRun) {
  const ft::testing::TempDir dir;
  MakeRun(dir / "j1", "医疗问答", true, std::chrono::minutes(10));
  MakeRun(dir / "j2", "医疗问答", true, std::chrono::minutes(1));
  MakeRun(dir / "j3", "other", false, std::chrono::minutes(0));
  const auto by_name = FindRunByName(dir.path(), "医疗问答");
  ASSERT_TRUE(by_name.ok()) << by_name.status();
  EXPECT_EQ(by_name->run_dir, dir / "j2");
  EXPECT_EQ(by_name->adapter, dir / "j2/attempts/2/adapter");
  EXPECT_EQ(by_name->attempt, dir / "j2/attempts/2");
  EXPECT_EQ(by_name->model, "/models/m");
  const auto by_id = FindRunByName(dir.path(), "j1");
  ASSERT_TRUE(by_id.ok());
  EXPECT_EQ(by_id->run_dir, dir / "j1");
  EXPECT_TRUE(absl::IsNotFound(FindRunByName(dir.path(), "nobody").status()));
  EXPECT_TRUE(absl::IsNotFound(FindRunByName(dir / "none", "qa").status()));
}

TEST(RunFolderTest, NewestAttemptWithAnAdapterIsUsed) {
  const ft::testing::TempDir dir;
  MakeRun(dir / "j", "qa", true, std::chrono::minutes(0));
  Put(dir / "j/attempts/10/job.json", "{}");
  const auto folder = RunFolderAt(dir / "j");
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(folder->attempt, dir / "j/attempts/2");
  Put(dir / "j/attempts/10/adapter/adapter_config.json", "{}");
  EXPECT_EQ(RunFolderAt(dir / "j")->attempt, dir / "j/attempts/10");
}

TEST(RunFolderTest, AdaptersAndModelsArePathsToo) {
  const ft::testing::TempDir dir;
  Put(dir / "a/adapter_config.json", R"({"base_model_name_or_path": "/models/base"})");
  Put(dir / "m/config.json", "{}");
  Put(dir / "x.gguf", "GGUF");
  EXPECT_EQ(RunFolderAt(dir / "a")->model, "/models/base");
  EXPECT_EQ(RunFolderAt(dir / "a/")->adapter, dir / "a");
  EXPECT_EQ(RunFolderAt(dir / "m")->model, (dir / "m").string());
  EXPECT_EQ(RunFolderAt(dir / "x.gguf")->model, (dir / "x.gguf").string());
  EXPECT_TRUE(absl::IsInvalidArgument(RunFolderAt(dir.path()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(RunFolderAt(dir / "none").status()));
}

// 144: a full fine-tuning leaves a whole model.
TEST(CasesRunFolder, AWholeModelIsAResultToo) {
  const ft::testing::TempDir dir;
  MakeRun(dir / "j", "qa", false, std::chrono::minutes(0));
  Put(dir / "j/attempts/2/adapter/config.json", "{}");
  const auto folder = FindRunByName(dir.path(), "qa");
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(folder->adapter, dir / "j/attempts/2/adapter");
  EXPECT_EQ(folder->attempt, dir / "j/attempts/2");
}

// 193
TEST(CasesRunFolder, AFailedRunDoesNotHideAnEarlierResult) {
  const ft::testing::TempDir dir;
  MakeRun(dir / "j1", "qa", true, std::chrono::minutes(20));
  MakeRun(dir / "j2", "qa", true, std::chrono::minutes(10));
  MakeRun(dir / "j3", "qa", false, std::chrono::minutes(1));
  EXPECT_EQ(FindRunByName(dir.path(), "qa")->run_dir, dir / "j2");
  EXPECT_EQ(FindRunByName(dir.path(), "j3")->run_dir, dir / "j3");
}

TEST(RunFolderTest, DamagedJobFilesLeaveTheModelUnknown) {
  const ft::testing::TempDir dir;
  Put(dir / "j/attempts/1/job.json", "{\"spec\": [");
  const auto folder = RunFolderAt(dir / "j");
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_TRUE(folder->model.empty());
  EXPECT_EQ(folder->name, "j");
}

}  // namespace
}  // namespace ft::client
