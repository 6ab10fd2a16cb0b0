#include "core/base/file.h"

#include <gtest/gtest.h>

#include "core/base/sha256.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest()
      : dir_(fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  ~FileTest() override { fs::remove_all(dir_); }
  fs::path dir_;
};

TEST_F(FileTest, DurableWriteReplacesWholeFileAndLeavesNothingBeside) {
  ASSERT_TRUE(WriteFileDurably(dir_ / "a", "first").ok());
  ASSERT_TRUE(WriteFileDurably(dir_ / "a", "second").ok());
  EXPECT_EQ(*ReadFile(dir_ / "a"), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), fs::directory_iterator()), 1);
}

TEST_F(FileTest, MissingFileNamesPath) {
  const Status status = ReadFile(dir_ / "none").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_NE(status.message().find("none"), std::string::npos);
}

TEST_F(FileTest, ReadPastEndIsRefused) {
  ASSERT_TRUE(WriteFileDurably(dir_ / "a", "12345").ok());
  auto file = RandomAccessFile::Open(dir_ / "a");
  ASSERT_TRUE(file.ok());
  std::array<std::byte, 4> buffer;
  EXPECT_TRUE(file->ReadAt(1, buffer).ok());
  EXPECT_TRUE(absl::IsOutOfRange(file->ReadAt(2, buffer)));
  EXPECT_TRUE(absl::IsOutOfRange(file->ReadAt(~uint64_t{0}, buffer)));
}

TEST_F(FileTest, TooLargeFileIsRefusedBeforeReading) {
  ASSERT_TRUE(WriteFileDurably(dir_ / "a", "12345").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(ReadFile(dir_ / "a", 4).status()));
}

TEST_F(FileTest, Sha256OfFileEqualsKnownVector) {
  ASSERT_TRUE(WriteFileDurably(dir_ / "a", "abc").ok());
  EXPECT_EQ(Hex(*Sha256OfFile(dir_ / "a")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace ft
