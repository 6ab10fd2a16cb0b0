#include "client/daemons/launch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "client/daemons/private_daemons.h"
#include "core/base/file.h"
#include "tests/support/temp_dir.h"

namespace ft::client {
namespace {

TEST(LaunchTest, OutputAndExitStatusComeBack) {
  const auto output = OutputOf("/bin/sh", {"-c", "echo out; echo err >&2; exit 3"}, std::chrono::seconds(20));
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->text, "out\nerr\n");
  EXPECT_EQ(output->exit_status, 3);
}

TEST(LaunchTest, LongOutputIsCutNotWaitedFor) {
  const auto output = OutputOf("/bin/sh", {"-c", "head -c 3000000 /dev/zero"}, std::chrono::seconds(20));
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->text.size(), size_t{1} << 20);
}

TEST(LaunchTest, ProgramThatDoesNotEndIsKilled) {
  const auto output = OutputOf("/bin/sleep", {"60"}, std::chrono::milliseconds(100));
  EXPECT_TRUE(absl::IsDeadlineExceeded(output.status())) << output.status();
}

TEST(LaunchTest, MissingProgramIsNamed) {
  const ft::testing::TempDir dir;
  Session session;
  session.program_dir = dir.path();
  const Status status = ProgramBeside(session, "ft-rank").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_NE(Message(status).find("ft-rank"), std::string_view::npos);
  EXPECT_FALSE(BecomeRank(session, {"version"}).ok());
}

TEST(LaunchTest, PassedFileHoldsTheText) {
  const auto path = PassedFile("{\"a\": 1}");
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*ReadFile(*path), "{\"a\": 1}");
}

TEST(PrivateDaemonsTest, PidFileOfAnotherProcessIsNotOurs) {
  const ft::testing::TempDir dir;
  const DaemonFiles files{.program = "finetuned", .pid_file = dir / "p", .log = dir / "l"};
  EXPECT_EQ(RunningPid(files), 0);
  // This test's own process with a start time that it does not have: a pid that was used again.
  ASSERT_TRUE(WriteFileDurably(files.pid_file, StrCat(::getpid(), " 1\n")).ok());
  EXPECT_EQ(RunningPid(files), 0);
  ASSERT_TRUE(WriteFileDurably(files.pid_file, "rubbish").ok());
  EXPECT_EQ(RunningPid(files), 0);
}

TEST(PrivateDaemonsTest, StoppingWhereNothingRunsIsNoFailure) {
  const ft::testing::TempDir dir;
  Session session;
  session.data_dir = dir / "data";
  const auto stopped = StopPrivateDaemons(session);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_TRUE(stopped->empty());
}

TEST(PrivateDaemonsTest, DaemonThatEndsAtItsStartIsReportedWithItsLog) {
  const ft::testing::TempDir dir;
  Session session;
  session.data_dir = dir / "data";
  session.program_dir = dir.path();
  ASSERT_TRUE(WriteFileDurably(dir / "finetuned", "#!/bin/sh\necho 'port in use'\nexit 1\n").ok());
  std::filesystem::permissions(dir / "finetuned", std::filesystem::perms::owner_all);
  const Status status = StartPrivateDaemons(session, {}).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(Message(status).find("finetuned.log"), std::string_view::npos) << status;
  EXPECT_NE(Message(status).find("port in use"), std::string_view::npos) << status;
}

TEST(SessionTest, UnreachableCoordinatorIsOneSentenceWithTheSocketAndTheWayOut) {
  const ft::testing::TempDir dir;
  Session session;
  session.data_dir = dir.path();
  const Status status = session.GetJob("qa").status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(Message(status).find('\n'), std::string_view::npos);
  EXPECT_NE(Message(status).find((dir / "finetuned.sock").string()), std::string_view::npos) << status;
  EXPECT_NE(Message(status).find("ftctl up"), std::string_view::npos) << status;
}

// 190
TEST(CasesDaemonUse, TheLastRunStopsWhatARunStarted) {
  const ft::testing::TempDir dir;
  Session session;
  session.data_dir = dir / "data";
  auto first = DaemonUse::Begin(session);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(first->Started(session, {.coordinator = true}).ok());
  auto second = DaemonUse::Begin(session);
  ASSERT_TRUE(second.ok());
  ASSERT_TRUE(second->Started(session, {}).ok());
  EXPECT_EQ(first->End(session), DaemonUse::Ending::kInUse);
  EXPECT_EQ(second->End(session), DaemonUse::Ending::kLast);
}

TEST(CasesDaemonUse, WhatUpStartedStays) {
  const ft::testing::TempDir dir;
  Session session;
  session.data_dir = dir / "data";
  auto use = DaemonUse::Begin(session);
  ASSERT_TRUE(use.ok());
  ASSERT_TRUE(use->Started(session, {.coordinator = true}).ok());
  KeepPrivateDaemons(session);
  EXPECT_EQ(use->End(session), DaemonUse::Ending::kKept);
}

TEST(CasesSession, AFolderTooDeepForASocketNamesTheVariable) {
  Session session;
  session.data_dir = "/" + std::string(150, 'x');
  EXPECT_NE(Message(session.ServerAddress().status()).find("set XDG_DATA_HOME to a shorter folder"),
            std::string_view::npos);
}

}  // namespace
}  // namespace ft::client
