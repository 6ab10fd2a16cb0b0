#include "server/spool/record_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <random>

#include "core/records/record_file.h"
#include "tests/support/temp_dir.h"

namespace ft::spool {
namespace {

namespace fs = std::filesystem;

bool All(const std::string&) { return true; }

// These tests lose no power, so nothing needs to reach the disk.
Status NoSync(int, const fs::path&) { return absl::OkStatus(); }

void Write(const fs::path& path, std::string_view content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

wpb::RankRef Ref(int rank) {
  wpb::RankRef ref;
  ref.set_job_id("j1");
  ref.set_epoch(2);
  ref.set_rank(rank);
  return ref;
}

wpb::RankRecord Step(uint64_t sequence) {
  wpb::RankRecord record;
  record.set_sequence(sequence);
  record.mutable_step()->set_step(static_cast<int64_t>(sequence));
  record.mutable_step()->set_loss(0.5 * static_cast<double>(sequence));
  return record;
}

fs::path FileOf(const fs::path& root, int rank) {
  return root / "jobs/j1/e2" / ("rank" + std::to_string(rank)) / "records.ftr";
}

// The sequence numbers in a rank's file, in its order; none when it cannot be read.
std::vector<uint64_t> Sequences(const fs::path& root, int rank) {
  const auto records = records::ReadRecords(FileOf(root, rank));
  std::vector<uint64_t> numbers;
  if (!records.ok()) return numbers;
  for (const records::Record& record : *records) numbers.push_back(record.sequence);
  return numbers;
}

std::vector<uint64_t> UpTo(uint64_t last) {
  std::vector<uint64_t> numbers(last);
  for (uint64_t i = 0; i < last; ++i) numbers[i] = i + 1;
  return numbers;
}

struct Opened {
  explicit Opened(const fs::path& root, SyncFile sync = NoSync) : store(root, context, std::move(sync)) {
    EXPECT_TRUE(store.Recover(All).ok());
  }
  // Waits for the answer, as a sender does.
  Status Append(int rank, const std::vector<wpb::RankRecord>& records) {
    std::optional<Status> answer;
    Send(rank, records, [&](const Status& status) { answer = status; });
    while (!answer) {
      context.restart();
      context.run_one();
    }
    return *answer;
  }

  // Keeps what is sent for as long as the store needs it.
  void Send(int rank, std::vector<wpb::RankRecord> records, RecordStore::Done done) {
    auto ref = std::make_shared<wpb::RankRef>(Ref(rank));
    auto kept = std::make_shared<std::vector<wpb::RankRecord>>(std::move(records));
    EXPECT_TRUE(
        store.Append(*ref, *kept, [ref, kept, done = std::move(done)](const Status& status) { done(status); })
            .ok());
  }

  boost::asio::io_context context{1};
  RecordStore store;
};

TEST(RecordStore, AnswersOnceRecordsAreDurableAndReadable) {
  testing::TempDir dir;
  int answers = 0, syncs = 0;
  Opened opened(dir.path(), [&](int, const fs::path&) {
    ++syncs;
    EXPECT_EQ(answers, 0);
    // Behind the journal only, so that what a crash leaves of it is known.
    EXPECT_TRUE(Sequences(dir.path(), 0).empty());
    return absl::OkStatus();
  });
  for (int rank = 0; rank < 100; ++rank) {
    opened.Send(rank, {Step(1), Step(2)}, [&, rank](const Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(syncs, 1);
      EXPECT_EQ(Sequences(dir.path(), rank), UpTo(2));
      ++answers;
    });
  }
  EXPECT_EQ(answers, 0);
  opened.context.run();
  EXPECT_EQ(answers, 100);
  EXPECT_EQ(syncs, 1);  // One for all.
}

// A rank whose batches are answered in no time sends many; many ranks share syncs.
TEST(RecordStore, FewWaitForNobodyAndManyShareSyncs) {
  testing::TempDir dir;
  int syncs = 0;
  Opened opened(dir.path(), [&](int, const fs::path&) {
    ++syncs;
    return absl::OkStatus();
  });
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(opened.Append(0, {Step(i)}).ok());
  EXPECT_EQ(syncs, 100);
  // 200 ranks, each with one batch on the way, until each was answered ten times.
  syncs = 0;
  constexpr uint64_t kTimes = 10;
  int answers = 0;
  std::function<void(int, uint64_t)> send = [&](int rank, uint64_t sequence) {
    opened.Send(rank, {Step(sequence)}, [&, rank, sequence](const Status& status) {
      EXPECT_TRUE(status.ok());
      ++answers;
      if (sequence < kTimes) send(rank, sequence + 1);
    });
  };
  for (int rank = 1; rank <= 200; ++rank) send(rank, 1);
  opened.context.restart();
  opened.context.run();
  EXPECT_EQ(answers, 2000);
  EXPECT_LE(syncs, 30);
}

TEST(RecordStore, WhatWaitsHasABound) {
  testing::TempDir dir;
  Opened opened(dir.path());
  const wpb::RankRef ref = Ref(0);
  const std::vector<wpb::RankRecord> records = {Step(1)};
  size_t answers = 0;
  const auto count = [&](const Status& status) { answers += status.ok() ? 1 : 0; };
  for (size_t i = 0; i < RecordStore::kQueueLimit; ++i)
    ASSERT_TRUE(opened.store.Append(ref, records, count).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(opened.store.Append(ref, records, count)));
  opened.context.run();
  EXPECT_EQ(answers, RecordStore::kQueueLimit);
  EXPECT_TRUE(opened.Append(0, {Step(2)}).ok());
}

TEST(RecordStore, OneSyncTakesSoManyBytes) {
  testing::TempDir dir;
  int syncs = 0;
  Opened opened(dir.path(), [&](int, const fs::path&) {
    ++syncs;
    return absl::OkStatus();
  });
  wpb::RankRecord large = Step(1);
  large.mutable_sample()->set_text(std::string(900'000, 'x'));
  for (int rank = 0; rank < 6; ++rank)
    opened.Send(rank, {large}, [](const Status& status) { EXPECT_TRUE(status.ok()); });
  opened.context.run();
  EXPECT_EQ(syncs, 3);
}

TEST(RecordStore, RepeatsAreStoredOnceAndAnsweredWithWhatTheyRepeat) {
  testing::TempDir dir;
  Opened opened(dir.path());
  std::vector<int> order;
  opened.Send(0, {Step(1), Step(2)}, [&](const Status&) { order.push_back(1); });
  opened.Send(0, {Step(1), Step(2)}, [&](const Status&) { order.push_back(2); });
  opened.Send(0, {Step(2), Step(3), Step(5)}, [&](const Status&) { order.push_back(3); });
  EXPECT_TRUE(order.empty());
  opened.context.run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  ASSERT_TRUE(opened.Append(0, {Step(3), Step(4)}).ok());
  EXPECT_EQ(Sequences(dir.path(), 0), UpTo(4));
}

// More ranks than files stay open. That nothing is read again is seen by damage that a reader would find.
TEST(RecordStore, GoingOnAfterItsFileWasClosedReadsNothing) {
  testing::TempDir dir;
  Opened opened(dir.path());
  const int ranks = static_cast<int>(RecordStore::kOpenFiles) * 2;
  for (int rank = 0; rank < ranks; ++rank) ASSERT_TRUE(opened.Append(rank, {Step(1)}).ok());
  std::string damaged = *ReadFile(FileOf(dir.path(), 0));
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  Write(FileOf(dir.path(), 0), damaged);
  for (int rank = 0; rank < ranks; ++rank) ASSERT_TRUE(opened.Append(rank, {Step(1), Step(2)}).ok()) << rank;
  for (int rank = 1; rank < ranks; ++rank) EXPECT_EQ(Sequences(dir.path(), rank), UpTo(2));
}

TEST(RecordStore, AFileThatWasChangedIsReadAndCheckedBeforeItTakesMore) {
  testing::TempDir dir;
  Opened opened(dir.path());
  ASSERT_TRUE(opened.Append(0, {Step(1), Step(2), Step(3)}).ok());
  const std::string whole = *ReadFile(FileOf(dir.path(), 0));
  fs::resize_file(FileOf(dir.path(), 0), whole.size() - 1);
  EXPECT_TRUE(absl::IsUnavailable(opened.Append(0, {Step(4)})));
  // Torn: the last record is gone, so the next in order is the third.
  ASSERT_TRUE(opened.Append(0, {Step(3), Step(4)}).ok());
  EXPECT_EQ(Sequences(dir.path(), 0), UpTo(4));
  // Damaged: refused, then and later.
  std::string damaged = *ReadFile(FileOf(dir.path(), 0));
  damaged[10] = static_cast<char>(damaged[10] ^ 1);
  Write(FileOf(dir.path(), 0), damaged + "x");
  opened.store.Forget("j1");
  EXPECT_TRUE(absl::IsDataLoss(opened.Append(0, {Step(5)})));
  EXPECT_TRUE(absl::IsDataLoss(opened.Append(0, {Step(5)})));
}

// Taken for empty records, they would have no number, and all that was sent would be wanted again.
TEST(RecordStore, ZerosThatALossOfPowerLeftBehindTheRecordsAreCut) {
  testing::TempDir dir;
  Opened opened(dir.path());
  ASSERT_TRUE(opened.Append(0, {Step(1), Step(2), Step(3)}).ok());
  Write(FileOf(dir.path(), 0), *ReadFile(FileOf(dir.path(), 0)) + std::string(4096, '\0'));
  opened.store.Forget("j1");
  ASSERT_TRUE(opened.Append(0, {Step(3), Step(4)}).ok());
  EXPECT_EQ(Sequences(dir.path(), 0), UpTo(4));
}

TEST(RecordStore, WhatTheJournalCannotTakeIsRefusedAndTakenLater) {
  testing::TempDir dir;
  Opened opened(dir.path());
  Write(dir / "journal", "in the way");
  int refused = 0;
  const auto count = [&](const Status& status) { refused += status.ok() ? 0 : 1; };
  opened.Send(0, {Step(1)}, count);
  opened.Send(0, {Step(2)}, count);
  opened.Send(1, {Step(1)}, count);
  opened.context.run();
  EXPECT_EQ(refused, 3);
  EXPECT_TRUE(Sequences(dir.path(), 0).empty());
  fs::remove(dir / "journal");
  ASSERT_TRUE(opened.Append(0, {Step(1), Step(2)}).ok());
  ASSERT_TRUE(opened.Append(1, {Step(1)}).ok());
  EXPECT_EQ(Sequences(dir.path(), 0), UpTo(2));
  EXPECT_EQ(Sequences(dir.path(), 1), UpTo(1));
}

// Files of at most so many bytes stand for a full disk.
class FullDisk {
 public:
  explicit FullDisk(uint64_t room) : old_(::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit full{room, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  }
  ~FullDisk() {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0);
    ::signal(SIGXFSZ, old_);
  }

 private:
  sighandler_t old_;
  rlimit before_{};
};

TEST(RecordStore, AJournalThatTakesAPartOnlyIsNotTorn) {
  testing::TempDir dir;
  Opened opened(dir.path());
  uint64_t next = 1;
  for (uint64_t room = 0; room < 600; room += 7) {
    bool taken = false;
    {
      const FullDisk full(room);
      taken = opened.Append(0, {Step(next), Step(next + 1)}).ok();
    }
    next += taken ? 2 : 0;
    EXPECT_EQ(Sequences(dir.path(), 0), UpTo(next - 1)) << room;
  }
  EXPECT_GT(next, 5u);
  ASSERT_TRUE(opened.Append(0, {Step(next)}).ok());
  Opened again(dir.path());
  EXPECT_EQ(Sequences(dir.path(), 0), UpTo(next));
}

TEST(RecordStore, ARanksFileThatTakesAPartOnlyIsRefusedAlone) {
  testing::TempDir dir;
  std::vector<wpb::RankRecord> many;
  for (uint64_t i = 1; i <= 100; ++i) many.push_back(Step(i));
  const auto fill = [&](Opened& opened) {
    ASSERT_TRUE(opened.Append(0, many).ok());
    ASSERT_TRUE(opened.store.Close().ok());  // The journal begins anew, so it is shorter than the file.
  };
  for (uint64_t room = 0; room < 80; room += 3) {
    fs::remove_all(dir / "jobs");
    Opened opened(dir.path());
    fill(opened);
    int first = 0, repeated = 0, other = 0;
    const auto note = [](int* to) { return [to](const Status& status) { *to = status.ok() ? 1 : -1; }; };
    {
      const FullDisk full(fs::file_size(FileOf(dir.path(), 0)) + room);
      opened.Send(0, {Step(101), Step(102)}, note(&first));
      opened.Send(0, {Step(101), Step(102)}, note(&repeated));
      opened.Send(1, {Step(1)}, note(&other));
      opened.context.restart();
      opened.context.run();
    }
    EXPECT_EQ(other, 1);
    EXPECT_EQ(first, repeated);
    EXPECT_EQ(Sequences(dir.path(), 0), UpTo(first == 1 ? 102 : 100)) << room;
    EXPECT_EQ(first, room < 40 ? -1 : first);
    ASSERT_TRUE(opened.Append(0, {Step(101), Step(102), Step(103)}).ok());
    EXPECT_EQ(Sequences(dir.path(), 0), UpTo(103));
    Opened again(dir.path());
    EXPECT_EQ(Sequences(dir.path(), 0), UpTo(103));
    EXPECT_EQ(Sequences(dir.path(), 1), UpTo(1));
    ASSERT_TRUE(again.Append(0, {Step(104)}).ok());
    ASSERT_TRUE(again.store.Close().ok());
  }
}

TEST(RecordStore, OfADeletedJobNothingComesBack) {
  testing::TempDir dir;
  {
    Opened opened(dir.path());
    ASSERT_TRUE(opened.Append(0, {Step(1)}).ok());
    opened.store.Forget("j1");
    fs::remove_all(dir / "jobs/j1");
  }
  boost::asio::io_context context;
  RecordStore store(dir.path(), context);
  ASSERT_TRUE(store.Recover([](const std::string&) { return false; }).ok());
  EXPECT_FALSE(fs::exists(dir / "jobs/j1"));
}

TEST(RecordStore, ClosedInOrderItLeavesNoJournal) {
  testing::TempDir dir;
  Opened opened(dir.path());
  bool answered = false;
  opened.Send(0, {Step(1)}, [&](const Status& status) { answered = status.ok(); });
  ASSERT_TRUE(opened.store.Close().ok());
  EXPECT_TRUE(answered);
  EXPECT_TRUE(fs::is_empty(dir / "journal"));
  EXPECT_EQ(Sequences(dir.path(), 0), UpTo(1));
}

// A disk that keeps of each file what was synced, and of what was not whatever it likes.
class LossyDisk {
 public:
  LossyDisk(fs::path live, uint32_t seed) : live_(std::move(live)), random_(seed) {
    for (const auto& entry : fs::recursive_directory_iterator(live_)) {
      if (entry.is_regular_file())
        synced_[entry.path().lexically_relative(live_).string()] = *ReadFile(entry.path());
    }
  }

  SyncFile sync() {
    return [this](int, const fs::path& path) {
      synced_[path.lexically_relative(live_).string()] = *ReadFile(path);
      return absl::OkStatus();
    };
  }

  // What is found after a loss of power.
  void LosePower(const fs::path& found) {
    for (const auto& entry : fs::recursive_directory_iterator(live_)) {
      if (!entry.is_regular_file()) continue;
      const fs::path relative = entry.path().lexically_relative(live_);
      const std::string now = *ReadFile(entry.path());
      std::string kept = synced_[relative.string()];
      if (kept.size() < now.size()) {
        const size_t more = random_() % (now.size() - kept.size() + 1);
        const size_t safe = kept.size();
        kept = now.substr(0, safe + more);
        if (random_() % 3 == 0)
          std::fill(kept.begin() + static_cast<ptrdiff_t>(safe + random_() % (more + 1)), kept.end(), '\0');
      }
      Write(found / relative, kept);
    }
  }

 private:
  const fs::path live_;
  std::mt19937 random_;
  std::map<std::string, std::string> synced_;
};

// Senders send again what was not acknowledged, also to the next coordinator; nothing acknowledged is lost or
// there twice.
TEST(RecordStore, PowerLostAtAnyMomentLosesNothingThatWasAcknowledged) {
  constexpr int kRanks = 5;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    std::vector<std::unique_ptr<testing::TempDir>> dirs;
    dirs.push_back(std::make_unique<testing::TempDir>());
    std::vector<uint64_t> acknowledged(kRanks, 0);
    for (int life = 0; life < 3; ++life) {
      const fs::path live = dirs.back()->path();
      LossyDisk disk(live, seed);
      Opened opened(live, disk.sync());
      for (int rank = 0; rank < kRanks; ++rank) {
        const std::vector<uint64_t> there = Sequences(live, rank);
        ASSERT_EQ(there, UpTo(there.size())) << "seed " << seed;
        ASSERT_GE(there.size(), acknowledged[static_cast<size_t>(rank)]) << "seed " << seed;
      }
      for (int round = static_cast<int>(random() % 20); round > 0; --round) {
        for (int rank = 0; rank < kRanks; ++rank) {
          if (random() % 2 == 0) continue;
          uint64_t& last = acknowledged[static_cast<size_t>(rank)];
          std::vector<wpb::RankRecord> records;
          for (uint64_t i = 1; i <= 1 + random() % 3; ++i) records.push_back(Step(last + i));
          opened.Send(rank, records, [&last, to = records.back().sequence()](const Status& status) {
            if (status.ok()) last = std::max(last, to);
          });
        }
        if (random() % 8 == 0) opened.store.Forget("j1");
        // What still waits at the end is never answered.
        if (random() % 4 != 0) opened.store.Commit();
      }
      dirs.push_back(std::make_unique<testing::TempDir>());
      disk.LosePower(dirs.back()->path());
    }
  }
}

}  // namespace
}  // namespace ft::spool
