#include "worker/node/agent/log_tail.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace ft::agent {
namespace {

class LogTailTest : public ::testing::Test {
 protected:
  static constexpr int64_t kKeep = 1 << 20;

  // Appends lines that begin with their offset.
  void Print(int64_t bytes) {
    std::ofstream out(file_, std::ios::app | std::ios::binary);
    for (int64_t end = printed_ + bytes; printed_ < end; printed_ += 16) {
      std::string line = std::to_string(printed_);
      line.resize(15, '.');
      out << line << '\n';
    }
  }
  int64_t DiskBytes() const {
    struct stat info {};
    EXPECT_EQ(::stat(file_.c_str(), &info), 0);
    return info.st_blocks * 512;
  }
  static std::string LineAt(int64_t offset) {
    std::string line = std::to_string(offset);
    line.resize(15, '.');
    return line + "\n";
  }

  testing::TempDir dir_;
  const std::filesystem::path file_ = dir_ / "stdout.log";
  int64_t printed_ = 0;
};

TEST_F(LogTailTest, ShipsFromWhatIsAcknowledged) {
  LogTail tail("stdout", file_, kKeep);
  EXPECT_TRUE(tail.Next(100)->data.empty()) << "there is no file yet";
  Print(64);
  EXPECT_EQ(tail.Backlog(), 64);
  EXPECT_EQ(tail.Next(16)->data, LineAt(0));
  tail.set_acked(48);
  const auto piece = tail.Next(100);
  EXPECT_EQ(piece->offset, 48);
  EXPECT_EQ(piece->oldest, 0);
  EXPECT_EQ(piece->data, LineAt(48));
}

TEST_F(LogTailTest, AFloodTakesNoMoreDiskThanItMay) {
  LogTail tail("stdout", file_, kKeep);
  for (int i = 0; i < 100; ++i) {
    Print(kKeep / 4);
    ASSERT_TRUE(tail.Trim().ok());
    ASSERT_LE(DiskBytes(), kKeep + kKeep / 4);
  }
  // Another agent needs to know no more than the file.
  const auto piece = LogTail("stdout", file_, kKeep).Next(16);
  EXPECT_EQ(piece->offset, piece->oldest);
  EXPECT_GE(piece->oldest, printed_ - kKeep);
  EXPECT_LE(piece->oldest, printed_ - kKeep / 2);
  EXPECT_EQ(piece->data, LineAt(piece->offset));
  EXPECT_EQ(tail.Backlog(), printed_ - piece->oldest);
}

TEST_F(LogTailTest, WhatWasShippedIsNotShippedAgain) {
  LogTail tail("stdout", file_, kKeep);
  Print(2 * kKeep);
  tail.set_acked(2 * kKeep - 16);
  ASSERT_TRUE(tail.Trim().ok());
  const auto piece = tail.Next(100);
  EXPECT_EQ(piece->offset, 2 * kKeep - 16);
  EXPECT_EQ(piece->data, LineAt(2 * kKeep - 16));
}

}  // namespace
}  // namespace ft::agent
