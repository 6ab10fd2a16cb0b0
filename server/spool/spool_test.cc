#include "server/spool/spool.h"

#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <limits>
#include <optional>

#include "core/base/sha256.h"
#include "server/spool/file_receiver.h"
#include "tests/support/temp_dir.h"

namespace ft::spool {
namespace {

wpb::RankRef Ref(int64_t epoch) {
  wpb::RankRef ref;
  ref.set_job_id("j1");
  ref.set_epoch(epoch);
  return ref;
}

wpb::RankRecord Step(uint64_t sequence, int64_t step, double loss) {
  wpb::RankRecord record;
  record.set_sequence(sequence);
  record.mutable_step()->set_step(step);
  record.mutable_step()->set_loss(loss);
  return record;
}

// Waits for the answer, as a sender does. REQUIRES a spool that was not started.
Status Append(Spool& spool, const wpb::RankRef& ref, const std::vector<wpb::RankRecord>& records) {
  std::optional<Status> answer;
  EXPECT_TRUE(spool.AppendRecords(ref, records, [&](const Status& status) { answer = status; }).ok());
  while (!answer) spool.context().run_one();
  return *answer;
}

TEST(Spool, RecordsAreStoredOnceAlsoByASecondProcess) {
  testing::TempDir dir;
  {
    Spool spool(dir.path());
    ASSERT_TRUE(Append(spool, Ref(1), {Step(1, 1, 7), Step(2, 2, 6)}).ok());
  }
  Spool spool(dir.path());
  ASSERT_TRUE(spool.Recover([](const std::string&) { return true; }).ok());
  ASSERT_TRUE(Append(spool, Ref(1), {Step(1, 1, 7), Step(2, 2, 6), Step(3, 3, 5), Step(5, 5, 3)}).ok());
  SeriesCursor cursor;
  auto points = spool.Series("j1", 1, &cursor);
  ASSERT_TRUE(points.ok());
  ASSERT_EQ(points->size(), 3u);  // The one behind the gap is not taken.
  EXPECT_EQ((*points)[2].record().step().step(), 3);
}

TEST(Spool, StoppedInOrderItLeavesNoJournal) {
  testing::TempDir dir;
  Spool spool(dir.path());
  spool.Start();
  std::promise<Status> answer;
  const wpb::RankRef ref = Ref(1);
  const std::vector<wpb::RankRecord> records = {Step(1, 1, 7)};
  ASSERT_TRUE(
      spool.AppendRecords(ref, records, [&](const Status& status) { answer.set_value(status); }).ok());
  EXPECT_TRUE(answer.get_future().get().ok());
  EXPECT_FALSE(std::filesystem::is_empty(dir / "journal"));
  spool.Stop();
  EXPECT_TRUE(std::filesystem::is_empty(dir / "journal"));
}

TEST(Spool, NewestAttemptsPointWins) {
  testing::TempDir dir;
  Spool spool(dir.path());
  ASSERT_TRUE(Append(spool, Ref(1), {Step(1, 1, 7), Step(2, 2, 6), Step(3, 3, 5)}).ok());
  ASSERT_TRUE(Append(spool, Ref(2), {Step(1, 3, 50), Step(2, 4, 40)}).ok());
  SeriesCursor cursor;
  auto points = spool.Series("j1", 2, &cursor);
  ASSERT_TRUE(points.ok());
  ASSERT_EQ(points->size(), 4u);
  EXPECT_EQ((*points)[2].record().step().loss(), 50);
  EXPECT_EQ((*points)[2].epoch(), 2);
  EXPECT_TRUE(spool.NextPoints("j1", &cursor)->empty());
  ASSERT_TRUE(Append(spool, Ref(2), {Step(3, 5, 30)}).ok());
  EXPECT_EQ(spool.NextPoints("j1", &cursor)->size(), 1u);
}

TEST(Spool, LogBytesAreNeitherLostNorDoubled) {
  testing::TempDir dir;
  Spool spool(dir.path());
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stdout", 0, 0, "hello "}), 6);
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stdout", 0, 0, "hello "}), 6);
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stdout", 3, 0, "lo world"}), 11);
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stdout", 20, 0, "gap"}), 11);
  EXPECT_EQ(*spool.ReadLog({"j1", 1, 0, "stdout", 0}), "hello world");
  EXPECT_EQ(*spool.ReadLog({"j1", 1, 0, "stdout", 6}), "world");
  EXPECT_EQ(spool.Ranks("j1", 1), std::vector<int32_t>{0});
  spool.RemoveJob("j1");
  EXPECT_TRUE(spool.Ranks("j1", 1).empty());
}

TEST(Spool, LostLogBytesAreCountedWhereTheyAreMissing) {
  testing::TempDir dir;
  Spool spool(dir.path());
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stderr", 0, 0, "one\n"}), 4);
  // The node has nothing before 100, and says so with the first byte it has; with any other it is asked for that one.
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stderr", 110, 100, "late"}), 4);
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stderr", 100, 100, "two\n"}), 104);
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stderr", 100, 100, "two\n"}), 104);
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stderr", 104, 100, "three\n"}), 110);
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stderr", 200, 200, ""}), 200);
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stderr", 200, 200, "four\n"}), 205);
  EXPECT_EQ(*spool.ReadLog({"j1", 1, 0, "stderr", 0}),
            "one\n\n[96 bytes are missing here: the node could not keep them]\ntwo\nthree\n"
            "\n[90 bytes are missing here: the node could not keep them]\nfour\n");
}

TEST(Spool, ALossThatACrashCutOffIsFinished) {
  testing::TempDir dir;
  const std::filesystem::path file = dir / "jobs/j1/e1/rank0/stdout";
  const std::string whole = "one\n\n[96 bytes are missing here: the node could not keep them]\n";
  for (size_t length = 0; length <= whole.size(); ++length) {
    std::filesystem::create_directories(file.parent_path());
    ASSERT_TRUE(WriteFileDurably(file, whole.substr(0, length)).ok());
    ASSERT_TRUE(WriteFileDurably(file.string() + ".gaps", "4 96\n").ok());
    Spool spool(dir.path());
    // Before its line was begun a loss is none yet: the node says it again.
    EXPECT_EQ(*spool.AppendLog(Ref(1), {"stdout", 0, 0, whole.substr(0, 4)}), length < 4 ? 4 : 100) << length;
    EXPECT_EQ(*spool.AppendLog(Ref(1), {"stdout", 100, 100, "two\n"}), 104) << length;
    EXPECT_EQ(*spool.ReadLog({"j1", 1, 0, "stdout", 0}), whole + "two\n") << length;
  }
}

// Sums of such numbers overflowed.
TEST(Spool, LogOffsetsThatNoStreamReachesAreRefused) {
  testing::TempDir dir;
  Spool spool(dir.path());
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_TRUE(absl::IsInvalidArgument(spool.AppendLog(Ref(1), {"stdout", kMost, kMost, "x"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(spool.AppendLog(Ref(1), {"stdout", kMost, 0, "x"}).status()));
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stdout", 0, 0, "one\n"}), 4);
  EXPECT_EQ(*spool.AppendLog(Ref(1), {"stdout", int64_t{1} << 60, int64_t{1} << 60, "x"}),
            (int64_t{1} << 60) + 1);
}

TEST(Spool, DamagedNotesOfLossesAreRefused) {
  testing::TempDir dir;
  const std::filesystem::path file = dir / "jobs/j1/e1/rank0/stdout";
  std::filesystem::create_directories(file.parent_path());
  ASSERT_TRUE(WriteFileDurably(file, std::string(1000, 'x')).ok());
  for (const char* gaps : {"0 9000000000000000000\n", "0 800000000000000000\n500 800000000000000000\n",
                           "4 0\n", "4 -5\n", "100 5\n50 5\n"}) {
    ASSERT_TRUE(WriteFileDurably(file.string() + ".gaps", gaps).ok());
    Spool spool(dir.path());
    const Status status = spool.AppendLog(Ref(1), {"stdout", 0, 0, "one"}).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << gaps;
    EXPECT_NE(Message(status).find("stdout.gaps is damaged"), std::string_view::npos) << status;
  }
}

TEST(FileReceiver, GoesOnWhereItStoppedAndChecksTheDigest) {
  testing::TempDir dir;
  const std::string content = "the whole file";
  const ExpectedFile expected{dir / "a/file", Hex(Sha256Of(content)), static_cast<int64_t>(content.size()),
                              100};
  {
    auto receiver = FileReceiver::Open(expected);
    ASSERT_TRUE(receiver.ok());
    ASSERT_TRUE(receiver->Append(0, content.substr(0, 4)).ok());
    EXPECT_EQ(receiver->Append(9, "x").code(), absl::StatusCode::kOutOfRange);
    EXPECT_TRUE(absl::IsUnavailable(FileReceiver::Open(expected).status()));  // One transfer at a time.
    ASSERT_TRUE(receiver->Save().ok());
    // Behind what is known to be on the disk, so it is sent again.
    ASSERT_TRUE(receiver->Append(4, content.substr(4, 3)).ok());
  }
  EXPECT_EQ(FileReceiver::SavedBytes(expected.path), 4);
  auto receiver = FileReceiver::Open(expected);
  ASSERT_TRUE(receiver.ok());
  EXPECT_EQ(receiver->received(), 4);
  ASSERT_TRUE(receiver->Append(4, content.substr(4)).ok());
  EXPECT_TRUE(receiver->complete());
  EXPECT_EQ(*ReadFile(dir / "a/file"), content);
  EXPECT_FALSE(std::filesystem::exists(dir / "a/file.part"));
  EXPECT_FALSE(std::filesystem::exists(dir / "a/file.part.state"));
}

// A state that is damaged, or of another file, costs the transfer its beginning and nothing else.
TEST(FileReceiver, AStateThatDoesNotFitIsOfNoUse) {
  testing::TempDir dir;
  const std::string content(1000, 'x');
  const ExpectedFile expected{dir / "file", Hex(Sha256Of(content)), 1000, 1000};
  for (const std::string& state : {std::string("{"), std::string("[]"), std::string(R"({"received": -1})")}) {
    {
      auto receiver = FileReceiver::Open(expected);
      ASSERT_TRUE(receiver->Append(0, content.substr(0, 500)).ok());
      ASSERT_TRUE(receiver->Save().ok());
    }
    ASSERT_TRUE(WriteFileDurably(dir / "file.part.state", state).ok());
    auto receiver = FileReceiver::Open(expected);
    ASSERT_TRUE(receiver.ok());
    EXPECT_EQ(receiver->received(), 0) << state;
  }
}

TEST(FileReceiver, SenderThatBeginsAnewIsHeardToTheEnd) {
  testing::TempDir dir;
  const std::string content = "the whole file";
  auto receiver =
      FileReceiver::Open({dir / "file", Hex(Sha256Of(content)), static_cast<int64_t>(content.size()), 100});
  ASSERT_TRUE(receiver.ok());
  ASSERT_TRUE(receiver->Append(0, content.substr(0, 6)).ok());
  ASSERT_TRUE(receiver->Append(0, content.substr(0, 4)).ok());
  ASSERT_TRUE(receiver->Append(4, content.substr(4, 4)).ok());
  EXPECT_EQ(receiver->received(), 8);
  ASSERT_TRUE(receiver->Append(8, content.substr(8)).ok());
  EXPECT_EQ(*ReadFile(dir / "file"), content);
}

TEST(FileReceiver, WrongBytesAndImpossibleSizesAreRefused) {
  testing::TempDir dir;
  auto receiver = FileReceiver::Open({dir / "file", Hex(Sha256Of("abc")), 3, 100});
  ASSERT_TRUE(receiver.ok());
  EXPECT_EQ(receiver->Append(0, "abd").code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(std::filesystem::exists(dir / "file"));
  EXPECT_FALSE(FileReceiver::Open({dir / "file", Hex(Sha256Of("abc")), 101, 100}).ok());
  EXPECT_FALSE(FileReceiver::Open({dir / "file", "ABC", 3, 100}).ok());
}

}  // namespace
}  // namespace ft::spool
