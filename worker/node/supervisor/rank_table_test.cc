#include "worker/node/supervisor/rank_table.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace ft::supervisor {
namespace {

// A child in a process group of its own that sleeps until it is killed.
pid_t Sleeper() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setpgid(0, 0);
    while (true) ::pause();
  }
  ::setpgid(pid, pid);
  return pid;
}

RankProcess Rank(pid_t pid) {
  RankProcess rank;
  rank.key = {"j1", 3, 0};
  rank.kind = "TRAIN";
  rank.pid = pid;
  rank.boot_id = process::BootId();
  rank.start_ticks = process::StartTicks(pid).value_or(0);
  return rank;
}

TEST(RankTable, ExitStatusSurvivesASupervisorAndIsForgottenOnlyWhenToldTo) {
  testing::TempDir dir;
  {
    auto table = RankTable::Open(dir.path());
    ASSERT_TRUE(table.ok());
    ASSERT_TRUE(table->Add(Rank(::getpid())).ok());
    ASSERT_TRUE(table->RecordExit({"j1", 3, 0}, 1 << 8).ok());
  }
  auto table = RankTable::Open(dir.path());
  ASSERT_TRUE(table.ok());
  ASSERT_NE(table->Find({"j1", 3, 0}), nullptr);
  EXPECT_EQ(table->Find({"j1", 3, 0})->wait_status, 1 << 8);
  EXPECT_EQ(table->Find({"j1", 3, 0})->kind, "TRAIN");
  ASSERT_TRUE(table->Forget({"j1", 3, 0}).ok());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(RankTable, ExitStatusThatTheDiskRefusedIsStoredOnceItTakesIt) {
  testing::TempDir dir;
  auto table = RankTable::Open(dir.path() / "state");
  ASSERT_TRUE(table.ok());
  ASSERT_TRUE(table->Add(Rank(::getpid())).ok());
  std::filesystem::rename(dir.path() / "state", dir.path() / "away");
  EXPECT_FALSE(table->RecordExit({"j1", 3, 0}, 1 << 8).ok());
  EXPECT_EQ(table->Find({"j1", 3, 0})->wait_status, 1 << 8) << "whoever asks now is told";
  table->SaveAgain();
  std::filesystem::rename(dir.path() / "away", dir.path() / "state");
  table->SaveAgain();
  auto reopened = RankTable::Open(dir.path() / "state");
  ASSERT_TRUE(reopened.ok());
  EXPECT_EQ(reopened->Find({"j1", 3, 0})->wait_status, 1 << 8);
}

TEST(RankTable, RankThatOutlivedItsSupervisorIsKilledAndSaidToBe) {
  testing::TempDir dir;
  const pid_t child = Sleeper();
  {
    auto table = RankTable::Open(dir.path());
    ASSERT_TRUE(table.ok());
    ASSERT_TRUE(table->Add(Rank(child)).ok());
  }
  auto table = RankTable::Open(dir.path());
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table->Find({"j1", 3, 0})->wait_status, SIGKILL);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
}

TEST(RankTable, AnotherProcessOfTheSamePidIsLeftAlone) {
  testing::TempDir dir;
  const pid_t child = Sleeper();
  {
    auto table = RankTable::Open(dir.path());
    ASSERT_TRUE(table.ok());
    RankProcess rank = Rank(child);
    rank.start_ticks += 1;
    ASSERT_TRUE(table->Add(std::move(rank)).ok());
  }
  ASSERT_TRUE(RankTable::Open(dir.path()).ok());
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST(RankTable, DamagedStateIsNamed) {
  testing::TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir / "j1.1.0.json", "{\"pid\": \"x\"}").ok());
  const auto table = RankTable::Open(dir.path());
  EXPECT_NE(Message(table.status()).find("j1.1.0.json"), std::string_view::npos);
}

}  // namespace
}  // namespace ft::supervisor
