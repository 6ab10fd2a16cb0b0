// What silence means (F5, F9, F13 of the fault table): leases of 600 ms, a stall of 500 ms, a node lost
// after 1.5 s.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <thread>

#include "core/base/file.h"
#include "tests/control/proxy.h"
#include "tests/control/started_cluster.h"

namespace ft::testing {
namespace {

using std::chrono::milliseconds;

const ClusterOptions kTimes{.stall = "500ms",
                            .node_loss = "1500ms",
                            .coordinator = "strict_margin: 200ms\nretry_backoff: 50ms\n",
                            .shared = true};

ClusterOptions WithLease(const std::string& lease) {
  ClusterOptions options = kTimes;
  options.lease = lease;
  return options;
}

class LeaseTest : public StartedCluster {
 protected:
  LeaseTest() : StartedCluster(kTimes) {}
  void SetUp() override {}
  void Start(bool two_nodes = false) {
    cluster_.StartCoordinator();
    proxy_ = std::make_unique<Proxy>((cluster_.dir() / "proxy.sock").string(), cluster_.worker_socket());
    cluster_.StartWorker("node-a");
    if (two_nodes) cluster_.StartWorker("node-b", proxy_->path());
    ASSERT_TRUE(Eventually([&] { return cluster_.Nodes().size() == (two_nodes ? 2u : 1u); }));
  }

  pb::Job SubmitAndStep(const CreateOptions& options) {
    return cluster_.WaitFor(Submit(options).name(), [](const pb::Job& j) { return j.progress().step() > 5; });
  }

  std::unique_ptr<Proxy> proxy_;
};

CreateOptions OneRank(int steps) {
  return {.name = "j",
          .labels = "  fake_steps: \"" + std::to_string(steps) + "\"\n  fake_step_ms: \"3\"\n",
          .every_steps = 20};
}

CreateOptions OverTwoNodes(int steps) {
  CreateOptions options = OneRank(steps);
  options.threads = 4;  // All cores of a node.
  options.ranks = 2;
  return options;
}

// F5: the agent is stopped for a while, its rank goes on. Short of the node loss timeout nothing happens.
TEST_F(LeaseTest, AgentAwayForLessThanTheNodeLossTimeoutIsAdopted) {
  Start();
  const pb::Job job = SubmitAndStep(OneRank(900));
  for (const int pause : {300, 900}) {
    const pid_t agent = cluster_.AgentPid();
    cluster_.Signal(agent, SIGSTOP);
    std::this_thread::sleep_for(milliseconds(pause));
    cluster_.Signal(agent, SIGKILL);
    EXPECT_TRUE(Eventually([&] { return cluster_.AgentPid() != agent && cluster_.AgentPid() != 0; }));
    cluster_.WaitFor(job.name(), [](const pb::Job& j) { return !j.contact_lost(); });
  }
  EXPECT_EQ(cluster_.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
  EXPECT_TRUE(HasEvent("NODE_SUSPECT"));
}

// F5 and F9: beyond it the attempt is dead. What comes back late is told so and killed; it never writes
// again.
TEST_F(LeaseTest, AgentThatComesBackTooLateLosesItsRankFirst) {
  Start();
  const pb::Job job = SubmitAndStep(OneRank(100'000));
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().checkpoint_step() >= 20; });
  const std::vector<pid_t> before = cluster_.RankPids();
  ASSERT_EQ(before.size(), 1u);
  const pid_t agent = cluster_.AgentPid();
  cluster_.Signal(agent, SIGSTOP);
  cluster_.WaitForState(job.name(), pb::RECOVERING);
  EXPECT_TRUE(HasEvent("ATTEMPT_DEAD"));
  EXPECT_EQ(cluster_.RankPids(), before);  // Out of reach, and nothing else.
  cluster_.Signal(agent, SIGCONT);
  const pb::Job again = cluster_.WaitFor(
      job.name(), [](const pb::Job& j) { return j.epoch() == 3 && j.state() == pb::RUNNING; });
  EXPECT_EQ(again.failure().failure_class(), pb::NODE_LOST);
  EXPECT_TRUE(Eventually([&] { return cluster_.RankPids() != before && cluster_.RankPids().size() == 1; }));
  ASSERT_TRUE(cluster_.Cancel(job.name()).ok());
  cluster_.WaitForState(job.name(), pb::CANCELLED);
}

// F9: with strict_exclusive the supervisor kills the rank when the lease ends, though the agent stands still.
TEST_F(LeaseTest, StrictJobsAreKilledAtTheLeasesEndBeforeTheyStartAgain) {
  Start();
  CreateOptions options = OneRank(400);
  options.strict_exclusive = true;
  const pb::Job job = SubmitAndStep(options);
  const pid_t agent = cluster_.AgentPid();
  cluster_.Signal(agent, SIGSTOP);
  EXPECT_TRUE(Eventually([&] { return cluster_.RankPids().empty(); }));
  cluster_.WaitForState(job.name(), pb::RECOVERING);
  cluster_.Signal(agent, SIGCONT);
  EXPECT_EQ(cluster_.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 3);
}

// F13: agent and coordinator are parted, ranks see each other. Whatever the time, nothing restarts.
TEST_F(LeaseTest, PartedNodeOfAGangThatStepsIsAlive) {
  Start(/*two_nodes=*/true);
  const pb::Job job = SubmitAndStep(OverTwoNodes(1200));
  for (const int pause : {200, 700, 2500}) {
    proxy_->Set(Wire::kSilent);
    std::this_thread::sleep_for(milliseconds(pause));
    proxy_->Set(Wire::kPass);
    cluster_.WaitFor(job.name(), [](const pb::Job& j) { return !j.contact_lost(); });
  }
  EXPECT_TRUE(HasEvent("ATTEMPT_ALIVE"));
  EXPECT_EQ(cluster_.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
  EXPECT_EQ(cluster_.Metrics("j").size(), 1200u);
}

// F14, too: a lease needs the answer, so one way alone is silence for both.
TEST_F(LeaseTest, OneWayAloneIsSilence) {
  Start(/*two_nodes=*/true);
  const pb::Job job = SubmitAndStep(OverTwoNodes(1000));
  for (const Wire way : {Wire::kToServer, Wire::kToClient}) {
    proxy_->Set(way);
    std::this_thread::sleep_for(milliseconds(1200));
    proxy_->Set(Wire::kPass);
    cluster_.WaitFor(job.name(), [](const pb::Job& j) { return !j.contact_lost(); });
  }
  EXPECT_EQ(cluster_.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
}

// F13, cut: node b is gone with its ranks, and node a's rank waits for it in a collective. One new epoch,
// soon.
TEST_F(LeaseTest, StalledGangWithASilentMemberIsDead) {
  Start(/*two_nodes=*/true);
  const pb::Job job = SubmitAndStep(OverTwoNodes(150));
  const auto cut = std::chrono::steady_clock::now();
  cluster_.SignalNode("node-b", SIGSTOP);
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.state() == pb::RECOVERING; });
  // The lease (0.6 s) and the stall (0.5 s), and what the loop's ticks and a busy machine add.
  EXPECT_LT(std::chrono::steady_clock::now() - cut, milliseconds(4000));
  cluster_.SignalNode("node-b", SIGCONT);
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 3);
  EXPECT_EQ(cluster_.Metrics("j").size(), 150u);
}

// The rank of a strict job goes on through a restart of the coordinator that takes a part of the lease. A
// lease of seconds, since a busy machine takes its time to start a process.
TEST(LongerLease, StrictJobsSurviveWhatIsShorterThanALease) {
  Cluster cluster(WithLease("4s"));
  cluster.StartCoordinator();
  cluster.StartWorker();
  CreateOptions options = OneRank(300);
  options.strict_exclusive = true;
  pb::Job job;
  ASSERT_TRUE(cluster.Create(options, &job).ok());
  cluster.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 5; });
  cluster.KillCoordinator();
  cluster.StartCoordinator();
  EXPECT_EQ(cluster.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
  cluster.Check();
}

// F12: nothing is said about anyone before the coordinator has been up for a lease.
TEST(LongerLease, CoordinatorThatWasAwayGivesEveryNodeALeaseToComeBack) {
  Cluster cluster(WithLease("2s"));
  cluster.StartCoordinator();
  cluster.StartWorker();
  pb::Job job;
  ASSERT_TRUE(cluster.Create(OneRank(1300), &job).ok());
  cluster.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 5; });
  cluster.KillCoordinator();
  std::this_thread::sleep_for(milliseconds(2500));
  cluster.StartCoordinator();
  EXPECT_EQ(cluster.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
  for (const pb::Event& event : cluster.Events("")) EXPECT_NE(event.type(), "NODE_SUSPECT");
  cluster.Check();
}

// A node that never comes back leaves the job to the other one: the data and the checkpoint are on shared
// storage.
TEST_F(LeaseTest, LostNodesWorkGoesOnElsewhereFromTheCheckpoint) {
  Start(/*two_nodes=*/true);
  CreateOptions options = OneRank(600);
  options.threads = 4;
  const pb::Job job = SubmitAndStep(options);
  const std::string home = cluster_.RankPids("node-a").empty() ? "node-b" : "node-a";
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().checkpoint_step() >= 20; });
  cluster_.KillWorker(home);
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 3);
  EXPECT_EQ(cluster_.Metrics("j").size(), 600u);
}

// Commands of a coordinator that was replaced are refused, also after the agent was restarted.
TEST_F(LeaseTest, TermIsRememberedByTheAgent) {
  Start();
  cluster_.KillCoordinator();
  cluster_.StartCoordinator();
  ASSERT_TRUE(Eventually([&] {
    auto term = ReadFile(cluster_.WorkerDir() / "term", 64);
    return term.ok() && *term == "2";
  }));
  ASSERT_TRUE(WriteFileDurably(cluster_.WorkerDir() / "term", "99").ok());
  cluster_.Signal(cluster_.AgentPid(), SIGKILL);
  pb::Job job;
  ASSERT_TRUE(cluster_.Create({.name = "j"}, &job).ok());
  std::this_thread::sleep_for(milliseconds(1500));
  ASSERT_TRUE(cluster_.Get(job.name(), &job).ok());
  EXPECT_EQ(job.state(), pb::PREPARING);  // The worker will not hear of it.
}

}  // namespace
}  // namespace ft::testing
