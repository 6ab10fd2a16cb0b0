#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "core/rpc/errors.h"
#include "server/state/sqlite_store.h"
#include "server/state/state_loop.h"
#include "tests/support/temp_dir.h"

namespace ft::state {
namespace {

CreateJob NewJob(const std::string& id) {
  CreateJob event;
  event.row.set_job_id(id);
  event.row.set_namespace_id("default");
  event.row.mutable_job()->set_display_name(id);
  return event;
}

// Passes everything on, until it is told to fail.
class FaultyStore : public Store {
 public:
  explicit FaultyStore(Store& real) : real_(real) {}
  StatusOr<ClusterState> Load() override { return real_.Load(); }
  Status WriteGroup(std::span<const Changes* const> group, int64_t revision_limit) override {
    ++groups;
    if (full) return absl::ResourceExhaustedError("disk full");
    if (broken) return absl::DataLossError("fsync failed");
    return real_.WriteGroup(group, revision_limit);
  }
  StatusOr<std::vector<pb::Event>> ReadEvents(const EventQuery& query) override {
    return real_.ReadEvents(query);
  }
  StatusOr<int64_t> OldestRevision() override { return real_.OldestRevision(); }
  Status TrimEvents(int64_t revision) override { return real_.TrimEvents(revision); }

  std::atomic<bool> full = false;
  std::atomic<bool> broken = false;
  std::atomic<int> groups = 0;

 private:
  Store& real_;
};

Reply Ask(StateLoop& loop, Event event) {
  std::promise<Reply> promise;
  const Status posted =
      loop.Post(std::move(event), [&](const Reply& reply, const Snapshot&) { promise.set_value(reply); });
  if (!posted.ok()) return {posted, "", {}, 0};
  return promise.get_future().get();
}

TEST(SqliteStore, WhatWasWrittenIsThereAfterwards) {
  testing::TempDir dir;
  SystemClock clock;
  {
    auto store = SqliteStore::Open(dir.path());
    ASSERT_TRUE(store.ok()) << store.status();
    auto state = (*store)->Load();
    ASSERT_TRUE(state.ok());
    EXPECT_EQ(state->term, 1);
    StateLoop loop(**store, clock, *std::move(state));
    loop.Start();
    EXPECT_TRUE(Ask(loop, NewJob("j1")).status.ok());
    EXPECT_TRUE(Ask(loop, NewJob("j2")).status.ok());
    EXPECT_TRUE(Ask(loop, CancelJob{{}, "j2", "why not"}).status.ok());
    loop.Stop();
  }
  auto store = SqliteStore::Open(dir.path());
  ASSERT_TRUE(store.ok());
  auto state = (*store)->Load();
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->term, 2);
  ASSERT_EQ(state->jobs.size(), 2u);
  EXPECT_EQ(state->jobs.Find("j2")->job().state(), pb::CANCELLED);
  auto events = (*store)->ReadEvents({});
  ASSERT_TRUE(events.ok());
  ASSERT_FALSE(events->empty());
  EXPECT_EQ(events->back().revision(), state->revision);
  EXPECT_EQ((*store)->ReadEvents({.subject = "namespaces/default/jobs/j1"})->size(), 2u);
}

TEST(SqliteStore, SecondCoordinatorIsKeptOut) {
  testing::TempDir dir;
  auto first = SqliteStore::Open(dir.path());
  ASSERT_TRUE(first.ok());
  const auto second = SqliteStore::Open(dir.path());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(Message(second.status()).find("another coordinator"), std::string_view::npos);
}

TEST(SqliteStore, TrimmedEventsAreKnownToBeGone) {
  testing::TempDir dir;
  auto store = SqliteStore::Open(dir.path());
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE((*store)->Load().ok());
  EXPECT_EQ(*(*store)->OldestRevision(), 0);
  ASSERT_TRUE((*store)->TrimEvents(7).ok());
  EXPECT_EQ(*(*store)->OldestRevision(), 7);
}

class Loop : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = SqliteStore::Open(dir_.path());
    ASSERT_TRUE(store.ok());
    real_ = *std::move(store);
    faulty_ = std::make_unique<FaultyStore>(*real_);
    auto state = faulty_->Load();
    ASSERT_TRUE(state.ok());
    loop_ = std::make_unique<StateLoop>(*faulty_, clock_, *std::move(state));
    loop_->Start();
  }
  testing::TempDir dir_;
  SystemClock clock_;
  std::unique_ptr<Store> real_;
  std::unique_ptr<FaultyStore> faulty_;
  std::unique_ptr<StateLoop> loop_;
};

TEST_F(Loop, FullDiskRefusesAndForgetsThenGoesOn) {
  ASSERT_TRUE(Ask(*loop_, NewJob("before")).status.ok());
  faulty_->full = true;
  const Reply refused = Ask(*loop_, NewJob("during"));
  EXPECT_EQ(rpc::ReasonOf(refused.status), pb::STORE_FULL);
  EXPECT_EQ(loop_->published()->jobs.Find("during"), nullptr);
  EXPECT_NE(loop_->published()->jobs.Find("before"), nullptr);
  faulty_->full = false;
  // The same id is free again: the refused job is nowhere in the state that decisions are taken on.
  Reply retried;
  for (int i = 0; i < 100 && (i == 0 || !retried.status.ok()); ++i) retried = Ask(*loop_, NewJob("during"));
  EXPECT_TRUE(retried.status.ok()) << retried.status;
  EXPECT_NE(loop_->published()->jobs.Find("during"), nullptr);
}

// More than a group: what waits behind the refused one was decided on a state that is dropped, and is refused too.
TEST_F(Loop, OrdinaryFullDiskLeavesNothingCountedAsWaiting) {
  constexpr int kJobs = 1500;
  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  ASSERT_TRUE(loop_->Read([opened](Store&) { opened.wait(); }).ok());
  faulty_->full = true;
  std::atomic<int> refused = 0;
  for (int i = 0; i < kJobs; ++i) {
    const Status posted =
        loop_->Post(NewJob("j" + std::to_string(i)), [&](const Reply& reply, const Snapshot&) {
          refused += rpc::ReasonOf(reply.status) == pb::STORE_FULL;
        });
    ASSERT_TRUE(posted.ok());
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // All are decided.
  gate.set_value();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto wait_for = [&](const auto& condition) {
    while (!condition() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  wait_for([&] { return refused == kJobs; });
  EXPECT_EQ(refused, kJobs);
  wait_for([&] { return loop_->waiting() == 0; });
  EXPECT_EQ(loop_->waiting(), 0u);
  faulty_->full = false;
  EXPECT_TRUE(Ask(*loop_, NewJob("after")).status.ok());
}

TEST_F(Loop, FailedWriteEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        testing::TempDir dir;
        auto store = SqliteStore::Open(dir.path());
        FaultyStore faulty(**store);
        StateLoop loop(faulty, clock_, *faulty.Load());
        loop.Start();
        faulty.broken = true;
        Ask(loop, NewJob("j"));
      },
      "");
}

TEST_F(Loop, ManyRequestsShareTransactions) {
  constexpr int kJobs = 2000;
  std::atomic<int> done = 0;
  for (int i = 0; i < kJobs; ++i) {
    const Status posted =
        loop_->Post(NewJob("j" + std::to_string(i)), [&](const Reply& reply, const Snapshot& snapshot) {
          EXPECT_TRUE(reply.status.ok());
          // What is answered is published.
          EXPECT_NE(snapshot->jobs.Find(reply.job_id), nullptr);
          ++done;
        });
    ASSERT_TRUE(posted.ok());
  }
  while (done < kJobs) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_LT(faulty_->groups, kJobs);
  EXPECT_EQ(loop_->published()->jobs.size(), static_cast<size_t>(kJobs));
}

TEST_F(Loop, FullInboxAnswersAtOnce) {
  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  ASSERT_TRUE(loop_->Read([opened](Store&) { opened.wait(); }).ok());
  Status status;
  size_t accepted = 0;
  while (status.ok() && accepted <= StateLoop::kInboxLimit) {
    status = loop_->Post(PruneRequests{}, nullptr);
    if (status.ok()) ++accepted;
  }
  EXPECT_EQ(rpc::ReasonOf(status), pb::INBOX_FULL);
  EXPECT_EQ(accepted, StateLoop::kInboxLimit - 1);
  gate.set_value();
}

// A running rank of job j1, and records of it.
class Progress {
 public:
  explicit Progress(StateLoop& loop) : loop_(loop) {
    RegisterNode node;
    node.request.set_node_id("a");
    node.request.set_incarnation("i");
    auto& cpu = *node.request.add_devices();
    cpu.set_kind("cpu");
    cpu.set_cores(4);
    EXPECT_TRUE(Ask(loop_, node).status.ok());
    EXPECT_TRUE(Ask(loop_, NewJob("j1")).status.ok());
    EXPECT_TRUE(Ask(loop_, SchedulePass{}).status.ok());
  }
  // One beat; the revision that was given out with it.
  int64_t Beat() {
    RecordsArrived event{"a", {}, {}};
    event.ref.set_job_id("j1");
    event.ref.set_epoch(1);
    wpb::RankRecord& record = event.records.emplace_back();
    record.set_sequence(++sequence_);
    record.mutable_beat()->set_phase("prepare");
    const Reply reply = Ask(loop_, std::move(event));
    EXPECT_TRUE(reply.status.ok()) << reply.status;
    EXPECT_EQ(reply.acked_sequence, sequence_);
    return loop_.published()->revision;
  }

 private:
  StateLoop& loop_;
  uint64_t sequence_ = 0;
};

TEST(OrdinaryProgress, IsPublishedAtOnceAndStoredOnceASecond) {
  testing::TempDir dir;
  SystemClock clock;
  int64_t revision = 0;
  {
    auto real = SqliteStore::Open(dir.path());
    ASSERT_TRUE(real.ok());
    FaultyStore store(**real);
    auto state = store.Load();
    StateLoop loop(store, clock, *std::move(state));
    loop.Start();
    Progress progress(loop);
    const int before = store.groups;
    for (int i = 0; i < 300; ++i) revision = progress.Beat();
    EXPECT_LE(store.groups - before, 5) << "each beat is written";
    EXPECT_EQ(loop.published()->attempts.Under("j1")[0]->ranks(0).beats(), 300);
    loop.Stop();
  }
  // Stopped in order, it has stored everything and reserves nothing.
  auto store = SqliteStore::Open(dir.path());
  ASSERT_TRUE(store.ok());
  const auto state = (*store)->Load();
  EXPECT_EQ(state->attempts.Under("j1")[0]->ranks(0).beats(), 300);
  EXPECT_EQ(state->revision, revision);
}

// What a crash forgets are rows, never numbers: a token for a revision that was given out stays good.
TEST(OrdinaryProgress, ARevisionThatWasGivenOutIsNeverGivenOutAgain) {
  testing::TempDir dir;
  SystemClock clock;
  auto real = SqliteStore::Open(dir.path());
  ASSERT_TRUE(real.ok());
  FaultyStore store(**real);
  auto state = store.Load();
  StateLoop loop(store, clock, *std::move(state));
  loop.Start();
  Progress progress(loop);
  for (int round = 0; round < 3; ++round) {
    int64_t revision = 0;
    for (int i = 0; i < 3000; ++i) revision = progress.Beat();
    // As a process would find it that starts now.
    testing::TempDir copy;
    for (const char* name : {"coordinator.db", "coordinator.db-wal"})
      std::filesystem::copy_file(dir / name, copy / name);
    auto again = SqliteStore::Open(copy.path());
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_GE((*again)->Load()->revision, revision);
  }
  loop.Stop();
}

}  // namespace
}  // namespace ft::state
