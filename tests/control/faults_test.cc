// Processes killed at bad moments: no job, step or result is lost, and nothing runs twice.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <thread>

#include "core/rpc/errors.h"
#include "tests/control/started_cluster.h"

namespace ft::testing {
namespace {

using Faults = StartedCluster;

TEST_F(Faults, CoordinatorKilledWhileARankRuns) {
  const pb::Job job = Submit({.name = "j", .labels = "  fake_steps: \"600\"\n  fake_step_ms: \"3\"\n"});
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 10; });
  const std::vector<pid_t> before = cluster_.RankPids();
  cluster_.KillCoordinator();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  cluster_.StartCoordinator();
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.state() == pb::RUNNING; });
  EXPECT_EQ(cluster_.RankPids(), before);  // Adopted, not restarted.
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 2);
  ExpectWholeSeries("j", 600);
}

TEST_F(Faults, RankEndsWhileTheCoordinatorIsAway) {
  const pb::Job job = Submit({.name = "j", .labels = "  fake_steps: \"100\"\n  fake_step_ms: \"3\"\n"});
  cluster_.WaitForState(job.name(), pb::RUNNING);
  cluster_.KillCoordinator();
  EXPECT_TRUE(Eventually([&] { return cluster_.RankPids().empty(); }));
  cluster_.StartCoordinator();
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 2);
  ExpectWholeSeries("j", 100);
}

TEST_F(Faults, CoordinatorKilledRightAfterSubmit) {
  const pb::Job job = Submit({.name = "j"});
  cluster_.KillCoordinator();
  cluster_.StartCoordinator();
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  ExpectWholeSeries("j", 20);
}

TEST_F(Faults, AgentKilledLosesNoStep) {
  const pb::Job job = Submit({.name = "j", .labels = "  fake_steps: \"500\"\n  fake_step_ms: \"3\"\n"});
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 10; });
  const std::vector<pid_t> before = cluster_.RankPids();
  const pid_t agent = cluster_.AgentPid();
  ASSERT_GT(agent, 0);
  cluster_.Signal(agent, SIGKILL);
  EXPECT_TRUE(Eventually([&] { return cluster_.AgentPid() != agent && cluster_.AgentPid() != 0; }));
  EXPECT_EQ(cluster_.RankPids(), before);
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 2);
  ExpectWholeSeries("j", 500);
}

TEST_F(Faults, KilledRankGoesOnFromTheCommittedCheckpoint) {
  const pb::Job job =
      Submit({.name = "j",
              .labels = "  fake_steps: \"60\"\n  fake_crash_at: \"25\"\n  fake_crash_epochs: \"2\"\n",
              .every_steps = 10});
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 3);
  ExpectWholeSeries("j", 60);
  // Steps 21 to 24 ran twice; the series has the newer attempt's.
  for (const pb::MetricPoint& point : cluster_.Metrics("j")) {
    EXPECT_EQ(point.epoch(), point.record().step().step() > 20 ? 3 : 2);
  }
  bool recovered = false;
  for (const pb::Event& event : cluster_.Events("j"))
    recovered = recovered || event.to_state() == "RECOVERING";
  EXPECT_TRUE(recovered);
}

TEST_F(Faults, RankKilledTenTimesEndsAsIfUndisturbed) {
  const pb::Job job =
      Submit({.name = "j", .labels = "  fake_steps: \"400\"\n  fake_step_ms: \"2\"\n", .every_steps = 10});
  int64_t reached = 0;
  for (int kill = 0; kill < 10; ++kill) {
    reached =
        cluster_.WaitFor(job.name(), [&](const pb::Job& j) { return j.progress().step() >= reached + 7; })
            .progress()
            .step();
    for (const pid_t rank : cluster_.RankPids()) cluster_.Signal(rank, SIGKILL);
  }
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  ExpectWholeSeries("j", 400);
}

TEST_F(Faults, RankThatNeverGetsFurtherFailsTheJob) {
  const pb::Job job =
      Submit({.name = "j", .labels = "  fake_crash_at: \"3\"\n  fake_crash_epochs: \"1000\"\n"});
  const pb::Job failed = cluster_.WaitForState(job.name(), pb::FAILED);
  EXPECT_EQ(failed.failure().failure_class(), pb::UNKNOWN_EXIT);
  EXPECT_NE(failed.failure().message().find("signal 9"), std::string::npos) << failed.failure().message();
  EXPECT_EQ(failed.epoch(), 1 + 6);  // The first, which got further than any before it, and five more.
}

TEST_F(Faults, WholeWorkerKilledRestartsTheJobFromItsCheckpoint) {
  const pb::Job job =
      Submit({.name = "j", .labels = "  fake_steps: \"300\"\n  fake_step_ms: \"3\"\n", .every_steps = 10});
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().checkpoint_step() >= 20; });
  cluster_.KillWorker();
  cluster_.StartWorker();
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_GE(done.epoch(), 3);
  ExpectWholeSeries("j", 300);
}

// Also a rank that has not yet come to its main().
TEST_F(Faults, RanksDieWithTheirSupervisorWhateverTheyAreDoing) {
  for (int round = 0; round < 5; ++round) {
    const pb::Job job =
        Submit({.name = "j" + std::to_string(round), .labels = "  fake_steps: \"100000\"\n", .ranks = 4});
    std::vector<pid_t> ranks;
    EXPECT_TRUE(Eventually([&] { return !(ranks = cluster_.RankPids()).empty(); }));
    cluster_.KillWorker();
    EXPECT_TRUE(Eventually([&] {
      return std::none_of(ranks.begin(), ranks.end(), [](pid_t rank) { return ::kill(rank, 0) == 0; });
    }));
    ASSERT_TRUE(cluster_.Cancel(job.name()).ok());
    cluster_.StartWorker();
    cluster_.WaitForState(job.name(), pb::CANCELLED);
  }
}

TEST_F(Faults, SilentNodeIsSuspectAndNothingIsKilled) {
  const pb::Job job = Submit({.name = "j", .labels = "  fake_steps: \"1000\"\n  fake_step_ms: \"3\"\n"});
  cluster_.WaitForState(job.name(), pb::RUNNING);
  const pid_t agent = cluster_.AgentPid();
  cluster_.Signal(agent, SIGSTOP);
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.contact_lost(); });
  EXPECT_EQ(cluster_.RankPids().size(), 1u);
  cluster_.Signal(agent, SIGCONT);
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return !j.contact_lost(); });
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 2);
  ExpectWholeSeries("j", 1000);
}

TEST_F(Faults, RankThatIgnoresSigtermIsKilledAfterItsGrace) {
  const pb::Job job =
      Submit({.name = "j", .labels = "  fake_steps: \"1000000\"\n  fake_ignore_term: \"1\"\n"});
  cluster_.WaitForState(job.name(), pb::RUNNING);
  pb::CancelJobRequest request;
  request.set_name(job.name());
  pb::Job reply;
  ASSERT_TRUE(cluster_.jobs().CancelJob(Context().get(), request, &reply).ok());
  cluster_.WaitForState(job.name(), pb::CANCELLED);
  EXPECT_TRUE(cluster_.RankPids().empty());
}

TEST_F(Faults, WritesOfAnEndedAttemptAreRefused) {
  const pb::Job job = Submit({.name = "j"});
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  auto stub = wpb::WorkerService::NewStub(cluster_.worker_channel());
  wpb::RegisterWorkerRequest request;
  request.set_node_id("node-b");
  request.set_incarnation("other");
  wpb::RegisterWorkerResponse registered;
  ASSERT_TRUE(stub->RegisterWorker(Context().get(), request, &registered).ok());
  wpb::RankRef ref;
  ref.set_job_id(IdOf(job));
  for (const int64_t epoch : {1, 2, 3}) {
    ref.set_epoch(epoch);
    wpb::PushRecordsRequest records;
    records.set_session_id(registered.session_id());
    *records.mutable_ref() = ref;
    records.add_records()->set_sequence(1);
    wpb::PushRecordsResponse records_reply;
    EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(stub->PushRecords(Context().get(), records, &records_reply))),
              pb::STALE_EPOCH);
    wpb::CommitCheckpointRequest checkpoint;
    checkpoint.set_session_id(registered.session_id());
    *checkpoint.mutable_ref() = ref;
    checkpoint.mutable_checkpoint()->set_step(999);
    wpb::CommitCheckpointResponse checkpoint_reply;
    EXPECT_EQ(
        rpc::ReasonOf(rpc::FromGrpc(stub->CommitCheckpoint(Context().get(), checkpoint, &checkpoint_reply))),
        pb::STALE_EPOCH);
    wpb::ReportRankRequest report;
    report.set_session_id(registered.session_id());
    *report.mutable_ref() = ref;
    wpb::ReportRankResponse report_reply;
    EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(stub->ReportRank(Context().get(), report, &report_reply))),
              pb::STALE_EPOCH);
  }
  wpb::RenewLeaseRequest renew;
  renew.set_session_id("nobody");
  wpb::RenewLeaseResponse renewed;
  EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(stub->RenewLease(Context().get(), renew, &renewed))),
            pb::SESSION_UNKNOWN);
}

}  // namespace
}  // namespace ft::testing
