#include "worker/data/prepare/source_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"

namespace ft::prepare {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A folder as a data set lies on a hub, with what a download leaves beside it.
class SourceFilesTest : public ::testing::Test {
 protected:
  SourceFilesTest() {
    roots_.allowed = {dir_ / "set"};
    for (const char* name : {"README.md", "dataset_infos.json", ".cache/huggingface/x.jsonl",
                             "finetune/train-00001-of-00002.jsonl", "finetune/train-00000-of-00002.jsonl",
                             "finetune/test-00000-of-00001.jsonl", "pretrain/train.jsonl"})
      Write(StrCat("set/", name));
    source_.source = (dir_ / "set").string();
  }
  void Write(const std::string& name) {
    const fs::path path = dir_ / name;
    ASSERT_TRUE(MakeDirectories(path.parent_path()).ok());
    ASSERT_TRUE(WriteFileDurably(path, "{}\n").ok());
  }
  std::vector<std::string> Files() {
    const auto found = FilesOfSource(source_, roots_);
    if (!found.ok()) return {std::string(Message(found.status()))};
    sentence_ = found->sentence;
    std::vector<std::string> names;
    for (const fs::path& file : found->files)
      names.push_back(file.lexically_relative(fs::canonical(dir_ / "set")).string());
    return names;
  }
  ft::testing::TempDir dir_;
  SourceRoots roots_;
  recipe::DataSource source_;
  std::string sentence_;
};

TEST_F(SourceFilesTest, AFolderGivesTheFilesOfItsSplitInTheOrderOfTheirNames) {
  EXPECT_THAT(Files(), ElementsAre("finetune/train-00000-of-00002.jsonl",
                                   "finetune/train-00001-of-00002.jsonl", "pretrain/train.jsonl"));
  EXPECT_THAT(sentence_, HasSubstr("set: of the folder's 6 files 3 are read: "
                                   "finetune/train-00000-of-00002.jsonl, finetune/train-00001"));
  source_.split = "test";
  EXPECT_THAT(Files(), ElementsAre("finetune/test-00000-of-00001.jsonl"));
  EXPECT_THAT(sentence_, HasSubstr("6 files 1 is read: finetune/test"));
}

TEST_F(SourceFilesTest, SubsetsAndFoldersChooseAsOnAHub) {
  source_.subset = "pretrain";
  EXPECT_THAT(Files(), ElementsAre("pretrain/train.jsonl"));
  source_.subset.clear();
  source_.folder = "finetune/test-00000-of-00001.jsonl";
  source_.split = "test";
  EXPECT_THAT(Files(), ElementsAre("finetune/test-00000-of-00001.jsonl"));
  source_.folder = "elsewhere";
  EXPECT_THAT(Files(),
              ElementsAre(HasSubstr("set has nothing below folder: elsewhere; its files are README.md")));
  source_.folder.clear();
  source_.split = "dev";
  EXPECT_THAT(Files(), ElementsAre(HasSubstr("set has no split: dev; its files are finetune/test")));
}

// Snapshots of the hubs' caches are links whose targets bear no endings.
TEST_F(SourceFilesTest, LinksAreReadByTheirOwnNames) {
  Write("set/blobs/0123abcd");
  fs::create_directories(dir_ / "set/snapshot");
  fs::create_symlink("../blobs/0123abcd", dir_ / "set/snapshot/train.jsonl");
  source_.source = (dir_ / "set/snapshot").string();
  EXPECT_THAT(Files(), ElementsAre("snapshot/train.jsonl"));
  source_.source = (dir_ / "set/snapshot/train.jsonl").string();
  EXPECT_THAT(Files(), ElementsAre("snapshot/train.jsonl"));
}

TEST_F(SourceFilesTest, LinksThatLeadOutAreRefused) {
  Write("secret.jsonl");
  fs::create_symlink(dir_ / "secret.jsonl", dir_ / "set/pretrain/train_secret.jsonl");
  EXPECT_THAT(Files(), ElementsAre(HasSubstr("lies outside the folders this worker may read")));
}

TEST_F(SourceFilesTest, APartOfOneFileIsRefused) {
  source_.source = (dir_ / "set/pretrain/train.jsonl").string();
  EXPECT_THAT(Files(), ElementsAre("pretrain/train.jsonl"));
  source_.split = "train";
  EXPECT_THAT(
      Files(),
      ElementsAre(HasSubstr(
          "train.jsonl is one file, and subset, folder and split choose files of a folder; take them out")));
}

}  // namespace
}  // namespace ft::prepare
