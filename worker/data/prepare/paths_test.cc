#include "worker/data/prepare/paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"

namespace ft::prepare {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class PathsTest : public ::testing::Test {
 protected:
  PathsTest() {
    EXPECT_TRUE(MakeDirectories(dir_ / "inside").ok());
    EXPECT_TRUE(MakeDirectories(dir_ / "inside-not").ok());
    EXPECT_TRUE(WriteFileDurably(dir_ / "inside/a.jsonl", "{}").ok());
    EXPECT_TRUE(WriteFileDurably(dir_ / "secret.jsonl", "{}").ok());
    EXPECT_TRUE(WriteFileDurably(dir_ / "inside-not/b.jsonl", "{}").ok());
    roots_.allowed = {dir_ / "inside"};
    roots_.base = dir_ / "inside";
  }
  std::string ErrorOf(const std::string& source, absl::StatusCode code) {
    const Status status = ResolveSource(source, roots_).status();
    EXPECT_EQ(status.code(), code) << source << ": " << status;
    return std::string(Message(status));
  }
  ft::testing::TempDir dir_;
  SourceRoots roots_;
};

TEST_F(PathsTest, FilesInsideARootResolve) {
  auto absolute = ResolveSource((dir_ / "inside/a.jsonl").string(), roots_);
  ASSERT_TRUE(absolute.ok()) << absolute.status();
  auto relative = ResolveSource("./a.jsonl", roots_);
  ASSERT_TRUE(relative.ok()) << relative.status();
  EXPECT_EQ(*absolute, *relative);
  roots_.allowed = {dir_ / "inside/"};
  EXPECT_TRUE(ResolveSource("a.jsonl", roots_).ok());
  roots_.allowed = {"/"};
  EXPECT_TRUE(ResolveSource((dir_ / "secret.jsonl").string(), roots_).ok());
}

TEST_F(PathsTest, OutsideTheRootsIsRefused) {
  EXPECT_THAT(ErrorOf((dir_ / "secret.jsonl").string(), absl::StatusCode::kPermissionDenied),
              HasSubstr("lies outside the folders this worker may read"));
  ErrorOf((dir_ / "inside-not/b.jsonl").string(), absl::StatusCode::kPermissionDenied);
  ErrorOf((dir_ / "nothing-here.jsonl").string(), absl::StatusCode::kPermissionDenied);
  roots_.allowed.clear();
  ErrorOf("a.jsonl", absl::StatusCode::kPermissionDenied);
}

TEST_F(PathsTest, ParentPartsAreRefusedEvenWhenTheyStayInside) {
  EXPECT_THAT(ErrorOf("x/../a.jsonl", absl::StatusCode::kInvalidArgument), HasSubstr("goes through `..`"));
}

TEST_F(PathsTest, SymbolicLinkOutOfARootIsRefused) {
  fs::create_symlink(dir_ / "secret.jsonl", dir_ / "inside/link.jsonl");
  ErrorOf("link.jsonl", absl::StatusCode::kPermissionDenied);
  fs::create_directory_symlink(dir_ / "inside-not", dir_ / "inside/folder");
  ErrorOf("folder/b.jsonl", absl::StatusCode::kPermissionDenied);
  fs::create_symlink(dir_ / "inside/a.jsonl", dir_ / "inside/good.jsonl");
  EXPECT_TRUE(ResolveSource("good.jsonl", roots_).ok());
}

TEST_F(PathsTest, MissingFileInsideIsNotFound) {
  EXPECT_THAT(ErrorOf("b.jsonl", absl::StatusCode::kNotFound), HasSubstr("b.jsonl does not exist"));
}

TEST_F(PathsTest, HubsAreRefusedWithWhatToDo) {
  for (const char* source : {"hf://a/b", "modelscope://a/b"}) {
    EXPECT_THAT(ErrorOf(source, absl::StatusCode::kInvalidArgument),
                HasSubstr("`ftctl cache fetch` downloads it, then give its folder"));
  }
  EXPECT_THAT(ErrorOf("http://a/b", absl::StatusCode::kInvalidArgument),
              HasSubstr("download it first and give the file"));
}

TEST_F(PathsTest, UploadsAreTheCoordinators) {
  EXPECT_THAT(ErrorOf("upload://" + std::string(64, 'a') + "/qa.jsonl", absl::StatusCode::kInvalidArgument),
              HasSubstr("give the file's own path"));
}

TEST_F(PathsTest, RelativePathWithoutABaseIsRefused) {
  roots_.base.clear();
  EXPECT_THAT(ErrorOf("a.jsonl", absl::StatusCode::kInvalidArgument), HasSubstr("write it from the root"));
}

}  // namespace
}  // namespace ft::prepare
