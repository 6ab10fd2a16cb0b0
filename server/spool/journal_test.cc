#include "server/spool/journal.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace ft::spool {
namespace {

namespace fs = std::filesystem;

bool All(const std::string&) { return true; }

Journal::Entry Entry(int32_t rank, uint64_t offset, std::string_view data) {
  return {"j1", 1, rank, offset, data};
}

fs::path FileOf(const fs::path& root, int rank) {
  return root / "jobs/j1/e1" / ("rank" + std::to_string(rank)) / "records.ftr";
}

// These tests lose no power, so nothing needs to reach the disk.
Status NoSync(int, const fs::path&) { return absl::OkStatus(); }

void Put(const fs::path& path, std::string_view content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

// As the owner of a journal does once the journal has it.
void Store(const fs::path& root, int rank, std::string_view content) { Put(FileOf(root, rank), content); }

size_t Journals(const fs::path& root) {
  return fs::exists(root / "journal")
             ? static_cast<size_t>(std::distance(fs::directory_iterator(root / "journal"), {}))
             : 0;
}

TEST(Journal, WhatWasNotSyncedInItsFileComesBackAndATornEndDoesNot) {
  testing::TempDir dir;
  Journal journal(dir.path(), NoSync);
  const std::string a = "aaaa", b = "bbbbbb", c = "cc";
  std::vector<uintmax_t> ends = {0};
  for (const Journal::Entry& entry : {Entry(0, 0, a), Entry(1, 0, b), Entry(0, 4, c)}) {
    ASSERT_TRUE(journal.Write(std::span(&entry, 1)).ok());
    ends.push_back(fs::file_size(dir / "journal/1.ftr"));
  }
  const std::string whole = *ReadFile(dir / "journal/1.ftr");
  for (size_t length = 0; length <= whole.size(); ++length) {
    for (const std::string& tail :
         {std::string(), std::string(20, '\0'), std::string("\x08\0\0\0garbage that was there", 27)}) {
      testing::TempDir lost;
      Put(lost / "journal/1.ftr", whole.substr(0, length) + tail);
      Journal again(lost.path(), NoSync);
      ASSERT_TRUE(again.Recover(All).ok());
      EXPECT_EQ(Journals(lost.path()), 0u);
      const std::string first = length >= ends[3] ? a + c : length >= ends[1] ? a : "";
      EXPECT_EQ(ReadFile(FileOf(lost.path(), 0)).value_or(""), first) << length;
      EXPECT_EQ(ReadFile(FileOf(lost.path(), 1)).value_or(""), length >= ends[2] ? b : "") << length;
    }
  }
}

TEST(Journal, BytesThatWereLostInTheMiddleOfAFileAreWrittenAgain) {
  testing::TempDir dir;
  Store(dir.path(), 0, "synced");
  Journal journal(dir.path(), NoSync);
  const std::vector<Journal::Entry> entries = {Entry(0, 6, " then"), Entry(0, 11, " more")};
  ASSERT_TRUE(journal.Write(entries).ok());
  Store(dir.path(), 0, std::string("synced\0\0\0\0\0 more", 16));
  Journal again(dir.path(), NoSync);
  ASSERT_TRUE(again.Recover(All).ok());
  EXPECT_EQ(*ReadFile(FileOf(dir.path(), 0)), "synced then more");
}

TEST(Journal, EntriesOfJobsThatAreGoneAndOfFilesThatWereCutAreLeftOut) {
  testing::TempDir dir;
  Journal journal(dir.path(), NoSync);
  const std::vector<Journal::Entry> entries = {
      {"gone", 1, 0, 0, "x"}, Entry(0, 100, "behind a hole"), Entry(1, 0, "y")};
  ASSERT_TRUE(journal.Write(entries).ok());
  Store(dir.path(), 0, "short");
  Journal again(dir.path(), NoSync);
  ASSERT_TRUE(again.Recover([](const std::string& job_id) { return job_id == "j1"; }).ok());
  EXPECT_FALSE(fs::exists(dir / "jobs/gone"));
  EXPECT_EQ(*ReadFile(FileOf(dir.path(), 0)), "short");
  EXPECT_EQ(*ReadFile(FileOf(dir.path(), 1)), "y");
}

// One that is longer than a frame may be.
TEST(Journal, LongEntriesAreCutInPieces) {
  testing::TempDir dir;
  Journal journal(dir.path(), NoSync);
  std::string data(3'000'000, 'x');
  for (size_t i = 0; i < data.size(); i += 1000) data[i] = static_cast<char>('a' + i / 1000 % 26);
  const Journal::Entry entry = Entry(0, 0, data);
  ASSERT_TRUE(journal.Write(std::span(&entry, 1)).ok());
  Journal again(dir.path(), NoSync);
  ASSERT_TRUE(again.Recover(All).ok());
  EXPECT_TRUE(*ReadFile(FileOf(dir.path(), 0)) == data);
}

// A full file goes only after all that it was for was synced in its place, some files at a time.
TEST(Journal, AFullFileGoesOnceEveryRankIsSynced) {
  testing::TempDir dir;
  std::vector<std::string> synced;
  Journal journal(
      dir.path(),
      [&](int, const fs::path& path) {
        synced.push_back(path.lexically_relative(dir.path()).string());
        return absl::OkStatus();
      },
      /*file_bytes=*/100);
  const std::string data(60, 'x');
  for (int rank = 0; rank < 3; ++rank) {
    const Journal::Entry entry = Entry(rank, 0, data);
    ASSERT_TRUE(journal.Write(std::span(&entry, 1)).ok());
    Store(dir.path(), rank, data);
  }
  // Two entries fill a file.
  EXPECT_EQ(synced, (std::vector<std::string>{"journal/1.ftr", "journal/1.ftr", "journal/2.ftr"}));
  EXPECT_EQ(Journals(dir.path()), 2u);
  synced.clear();
  ASSERT_TRUE(journal.Settle(1).ok());
  EXPECT_EQ(synced, (std::vector<std::string>{"jobs/j1/e1/rank0/records.ftr"}));
  EXPECT_EQ(Journals(dir.path()), 2u);
  ASSERT_TRUE(journal.Settle(2).ok());
  EXPECT_EQ(synced.back(), "jobs/j1/e1/rank1/records.ftr");
  EXPECT_EQ(Journals(dir.path()), 1u);
  ASSERT_TRUE(journal.Settle(10).ok());
  EXPECT_EQ(Journals(dir.path()), 1u);
  ASSERT_TRUE(journal.Close().ok());
  EXPECT_EQ(synced.back(), "jobs/j1/e1/rank2/records.ftr");
  EXPECT_EQ(Journals(dir.path()), 0u);
}

// However little is settled after each group, there are never more than two files.
TEST(Journal, IsBounded) {
  testing::TempDir dir;
  Journal journal(dir.path(), NoSync, /*file_bytes=*/200);
  for (int i = 0; i < 50; ++i) {
    Store(dir.path(), i, "");
    const Journal::Entry entry = Entry(i, 0, "xxxx");
    ASSERT_TRUE(journal.Write(std::span(&entry, 1)).ok());
    EXPECT_LE(Journals(dir.path()), 2u);
  }
}

TEST(Journal, GoesOnBehindTheNumbersOfBefore) {
  testing::TempDir dir;
  const Journal::Entry entry = Entry(0, 0, "x");
  {
    Journal journal(dir.path(), NoSync);
    ASSERT_TRUE(journal.Write(std::span(&entry, 1)).ok());
  }
  fs::rename(dir / "journal/1.ftr", dir / "journal/7.ftr");
  Put(dir / "journal/notes.txt", "no journal");
  Journal journal(dir.path(), NoSync);
  ASSERT_TRUE(journal.Recover(All).ok());
  ASSERT_TRUE(journal.Write(std::span(&entry, 1)).ok());
  EXPECT_TRUE(fs::exists(dir / "journal/8.ftr"));
  EXPECT_EQ(Journals(dir.path()), 2u);
}

TEST(JournalDeathTest, AFailedSyncEndsTheProcess) {
  testing::TempDir dir;
  Journal journal(dir.path(), [](int, const fs::path&) { return absl::InternalError("no"); });
  const Journal::Entry entry = Entry(0, 0, "x");
  EXPECT_DEATH((void)journal.Write(std::span(&entry, 1)), "");
}

}  // namespace
}  // namespace ft::spool
