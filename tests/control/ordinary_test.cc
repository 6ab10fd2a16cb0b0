// Ordinary operation loses nothing: workers that are asked to stop, nodes that are drained, lost and removed, gangs that
// wait for each other, places that differ from attempt to attempt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <thread>

#include "tests/control/started_cluster.h"

namespace ft::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::AnyOf;
using ::testing::HasSubstr;

const ClusterOptions kTimes{.stall = "500ms",
                            .node_loss = "1500ms",
                            .coordinator = "hang_timeout: 1s\nretry_backoff: 50ms\n",
                            .stop_grace = "20s",
                            .shared = true};

class OrdinaryCluster : public StartedCluster {
 protected:
  explicit OrdinaryCluster(ClusterOptions options = kTimes) : StartedCluster(std::move(options)) {}
  void SetUp() override { cluster_.StartCoordinator(); }

  void StartNodes(const std::vector<std::string>& nodes, int cores = 0) {
    for (const std::string& node : nodes) cluster_.StartWorker(node, "", cores);
    cluster_.WaitForNodes(nodes.size());
  }

  pb::Job WaitForStep(const pb::Job& job, int64_t step) {
    return cluster_.WaitFor(job.name(), [&](const pb::Job& j) { return j.progress().step() >= step; });
  }

  // The node that runs a rank of the job; other than `other`.
  std::string NodeOf(const pb::Job& job, const std::string& other = "") {
    std::string found;
    Eventually([&] {
      for (const pb::Node& node : cluster_.Nodes()) {
        const bool here = std::find(node.jobs().begin(), node.jobs().end(), job.name()) != node.jobs().end();
        if (here && node.node_id() != other) found = node.node_id();
      }
      return !found.empty();
    });
    return found;
  }

  // How often rank 0 did each step, as the fake ranks wrote it down.
  std::map<int64_t, int> StepsDone(const pb::Job& job) {
    std::map<int64_t, int> done;
    std::ifstream file(cluster_.history().path());
    for (std::string line; std::getline(file, line);) {
      const auto entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (entry.is_object() && entry.value("kind", "") == "rank_step" &&
          entry.value("job", "") == IdOf(job) && entry.value("rank", 0) == 0)
        ++done[entry.value("step", int64_t{0})];
    }
    return done;
  }

  void ExpectEachStepOnce(const pb::Job& job, size_t steps) {
    const auto done = StepsDone(job);
    EXPECT_EQ(done.size(), steps);
    for (const auto& [step, times] : done) EXPECT_EQ(times, 1) << "step " << step;
  }

  std::vector<pb::Event> EventsOf(const std::string& type) {
    std::vector<pb::Event> found = cluster_.Events("");
    std::erase_if(found, [&](const pb::Event& event) { return event.type() != type; });
    return found;
  }

  grpc::Status Ask(grpc::Status (pb::NodeService::Stub::*call)(grpc::ClientContext*, const pb::NodeRequest&,
                                                               pb::Node*),
                   const std::string& node) {
    pb::NodeRequest request;
    request.set_node_id(node);
    pb::Node reply;
    return (pb::NodeService::NewStub(cluster_.channel()).get()->*call)(Context().get(), request, &reply);
  }

  grpc::Status Remove(const std::string& node) {
    pb::NodeRequest request;
    request.set_node_id(node);
    pb::RemoveNodeResponse reply;
    return pb::NodeService::NewStub(cluster_.channel())->RemoveNode(Context().get(), request, &reply);
  }
};

CreateOptions Gang(int steps, int ranks = 2, int threads = 4) {
  return {.name = "j",
          .labels = "  fake_steps: \"" + std::to_string(steps) + "\"\n  fake_step_ms: \"3\"\n",
          .every_steps = 10'000,
          .threads = threads,
          .ranks = ranks};
}

using OrdinaryDrain = OrdinaryCluster;

TEST_F(OrdinaryDrain, AWorkerThatIsAskedToStopLosesNoStepOfAGang) {
  StartNodes({"node-a", "node-b", "node-c"});
  const pb::Job job = Submit(Gang(400));
  WaitForStep(job, 50);
  const std::string leaves = NodeOf(job);
  cluster_.AskWorkerToStop(leaves);
  EXPECT_EQ(cluster_.AwaitWorker(leaves), 0);
  EXPECT_EQ(cluster_.Node(leaves).state(), pb::DRAINING);
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 3);
  EXPECT_FALSE(done.has_failure());
  ExpectEachStepOnce(job, 400);
  EXPECT_EQ(EventsOf("ATTEMPT_PREEMPTED").size(), 1u);
  // It has left: nobody misses it, and it works again once it is back.
  std::this_thread::sleep_for(milliseconds(2500));
  EXPECT_FALSE(HasEvent("NODE_SUSPECT"));
  cluster_.StartWorker(leaves);
  cluster_.WaitForNodes(3);
}

TEST_F(OrdinaryDrain, WithTheCoordinatorAwayItWaitsToDeliver) {
  StartNodes({"node-a"});
  const pb::Job job = Submit(Gang(400, 1));
  WaitForStep(job, 50);
  cluster_.KillCoordinator();
  cluster_.AskWorkerToStop("node-a");
  EXPECT_TRUE(Eventually([&] { return cluster_.RankPids().empty(); }));
  ASSERT_TRUE(cluster_.StartCoordinator());
  EXPECT_EQ(cluster_.AwaitWorker("node-a"), 0);
  EXPECT_EQ(cluster_.WaitForState(job.name(), pb::QUEUED).failure().failure_class(),
            pb::FAILURE_CLASS_UNSPECIFIED);
  cluster_.StartWorker("node-a");
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  ExpectEachStepOnce(job, 400);
}

class OrdinaryShortGrace : public OrdinaryCluster {
 protected:
  static ClusterOptions Short() {
    ClusterOptions options = kTimes;
    options.stop_grace = "1500ms";
    return options;
  }
  OrdinaryShortGrace() : OrdinaryCluster(Short()) {}
};

// What could not be delivered in time lies on the disk, and goes out when the worker is back.
TEST_F(OrdinaryShortGrace, PastItWithoutACoordinatorTheWorkerEndsAndLosesNothing) {
  StartNodes({"node-a"});
  const pb::Job job = Submit(Gang(400, 1));
  WaitForStep(job, 50);
  cluster_.KillCoordinator();
  cluster_.AskWorkerToStop("node-a");
  EXPECT_EQ(cluster_.AwaitWorker("node-a"), 0);
  ASSERT_TRUE(cluster_.StartCoordinator());
  cluster_.StartWorker("node-a");
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  ExpectEachStepOnce(job, 400);
}

TEST_F(OrdinaryShortGrace, ARankThatDoesNotListenIsKilledAndChargedNothing) {
  StartNodes({"node-a", "node-b"});
  CreateOptions options = Gang(400, 1);
  options.labels += "  fake_hang_at: \"60\"\n  fake_hang_epochs: \"2\"\n";
  const pb::Job job = Submit(options);
  WaitForStep(job, 59);
  const std::string leaves = NodeOf(job);
  cluster_.AskWorkerToStop(leaves);
  EXPECT_EQ(cluster_.AwaitWorker(leaves), 0);
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_FALSE(done.has_failure());
  for (const pb::Event& event : EventsOf("ATTEMPT_ENDED")) EXPECT_LE(event.epoch(), 3);
}

TEST_F(OrdinaryDrain, APreparationIsStoppedAndDoneElsewhere) {
  StartNodes({"node-a", "node-b"});
  CreateOptions options = Gang(20, 1);
  options.labels += "  fake_prepare_ms: \"3000\"\n";
  const pb::Job job = Submit(options);
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.epoch() == 1; });
  const std::string leaves = NodeOf(job);
  std::this_thread::sleep_for(milliseconds(200));
  cluster_.AskWorkerToStop(leaves);
  EXPECT_EQ(cluster_.AwaitWorker(leaves), 0);
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 3);
  EXPECT_FALSE(done.has_failure());
}

TEST_F(OrdinaryDrain, ByRequestItMovesWhatRunsAndTakesNothingNewUntilUncordoned) {
  StartNodes({"node-a"});
  const pb::Job job = Submit(Gang(400, 1));
  WaitForStep(job, 20);
  ASSERT_TRUE(Ask(&pb::NodeService::Stub::DrainNode, "node-a").ok());
  const pb::Job stopped = cluster_.WaitForState(job.name(), pb::QUEUED);
  EXPECT_GE(stopped.progress().checkpoint_step(), 20);
  EXPECT_EQ(cluster_.Node("node-a").state(), pb::DRAINING);
  EXPECT_TRUE(cluster_.Node("node-a").needs_uncordon());
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.state_message().starts_with("waiting: "); });
  ASSERT_TRUE(Ask(&pb::NodeService::Stub::UncordonNode, "node-a").ok());
  EXPECT_FALSE(cluster_.Node("node-a").needs_uncordon());
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  ExpectEachStepOnce(job, 400);
}

TEST_F(OrdinaryDrain, ACordonedNodeKeepsWhatRunsAndSurvivesARestart) {
  StartNodes({"node-a"});
  const pb::Job first = Submit(Gang(200, 1));
  WaitForStep(first, 10);
  ASSERT_TRUE(Ask(&pb::NodeService::Stub::CordonNode, "node-a").ok());
  CreateOptions options = Gang(20, 1);
  options.name = "second";
  const pb::Job second = Submit(options);
  EXPECT_EQ(cluster_.WaitForState(first.name(), pb::SUCCEEDED).epoch(), 2);
  EXPECT_EQ(cluster_.StopWorker("node-a"), 0);
  cluster_.StartWorker("node-a");
  EXPECT_TRUE(Eventually([&] { return cluster_.Node("node-a").state() == pb::CORDONED; }));
  EXPECT_TRUE(cluster_.Node("node-a").needs_uncordon());
  pb::Job waiting;
  ASSERT_TRUE(cluster_.Get(second.name(), &waiting).ok());
  EXPECT_EQ(waiting.state(), pb::PREPARING);
  EXPECT_EQ(waiting.epoch(), 0);
  ASSERT_TRUE(Ask(&pb::NodeService::Stub::UncordonNode, "node-a").ok());
  cluster_.WaitForState(second.name(), pb::SUCCEEDED);
}

using OrdinaryNodes = OrdinaryCluster;

TEST_F(OrdinaryNodes, ASilentNodeIsLostAndCanBeRemoved) {
  StartNodes({"node-a", "node-b"});
  EXPECT_EQ(Remove("node-a").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Remove("node-x").error_code(), grpc::StatusCode::NOT_FOUND);
  cluster_.KillWorker("node-b");
  EXPECT_TRUE(Eventually([&] { return cluster_.Node("node-b").state() == pb::SUSPECT; }));
  EXPECT_TRUE(Eventually([&] { return cluster_.Node("node-b").state() == pb::LOST; }));
  ASSERT_TRUE(Remove("node-b").ok());
  EXPECT_EQ(cluster_.Nodes().size(), 1u);
  cluster_.KillCoordinator();
  ASSERT_TRUE(cluster_.StartCoordinator());
  EXPECT_EQ(cluster_.Nodes().size(), 1u);
  cluster_.StartWorker("node-b");
  cluster_.WaitForNodes(2);
}

using OrdinaryWaits = OrdinaryCluster;

// Its ranks live and beat, and none of them goes on.
TEST_F(OrdinaryWaits, AGangWhoseRanksWaitForEachOtherIsNamedAndStartedAgain) {
  StartNodes({"node-a", "node-b"});
  CreateOptions options = Gang(100);
  options.labels += "  fake_deadlock_at: \"40\"\n  fake_deadlock_epochs: \"2\"\n";
  options.every_steps = 10;
  const pb::Job job = Submit(options);
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 3);
  const auto noticed = EventsOf("GANG_WAITS");
  ASSERT_EQ(noticed.size(), 1u);
  EXPECT_THAT(noticed[0].message(), AnyOf(HasSubstr("rank 0 waits for rank 1 in all_reduce 40"),
                                          HasSubstr("rank 1 waits for rank 0 in all_reduce 40")));
  EXPECT_EQ(EventsOf("GANG_HUNG").size(), 1u);
}

// The rank that is left waits in an exchange; that it says so is no sign that the others live.
TEST_F(OrdinaryWaits, WhoWaitsForASilentNodeIsNoWitnessOfIt) {
  StartNodes({"node-a", "node-b", "node-c"});
  CreateOptions options = Gang(3000);
  options.every_steps = 20;
  const pb::Job job = Submit(options);
  WaitForStep(job, 60);
  const std::string silent = NodeOf(job);
  cluster_.SignalNode(silent, SIGSTOP);
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.epoch() >= 3 && j.state() == pb::RUNNING; });
  EXPECT_TRUE(HasEvent("ATTEMPT_DEAD"));
  EXPECT_FALSE(HasEvent("ATTEMPT_ALIVE"));
  cluster_.SignalNode(silent, SIGCONT);
  ASSERT_TRUE(cluster_.Cancel(job.name()).ok());
  cluster_.WaitForState(job.name(), pb::CANCELLED);
}

using OrdinaryThreads = OrdinaryCluster;

nlohmann::json RunPart(Cluster& cluster, const std::string& node, const pb::Job& job) {
  std::ifstream file(cluster.WorkerDir(node) / "runs" / IdOf(job) / "attempts" / std::to_string(job.epoch()) /
                     "job.json");
  return nlohmann::json::parse(file)["run"];
}

TEST_F(OrdinaryThreads, StayAsTheFirstAttemptHadThem) {
  StartNodes({"node-a"}, /*cores=*/8);
  const pb::Job job = Submit(Gang(1000, 2, /*threads=*/0));
  WaitForStep(job, 20);
  pb::Job now;
  ASSERT_TRUE(cluster_.Get(job.name(), &now).ok());
  EXPECT_EQ(RunPart(cluster_, "node-a", now)["threads"], 4);
  EXPECT_EQ(RunPart(cluster_, "node-a", now)["job_created"], job.create_time().seconds());
  cluster_.AskWorkerToStop("node-a");
  EXPECT_EQ(cluster_.AwaitWorker("node-a"), 0);
  // Six cores would do for two ranks of three threads, whose numbers would be others.
  cluster_.StartWorker("node-six", "", 6);
  const pb::Job waits = cluster_.WaitFor(job.name(), [](const pb::Job& j) {
    return j.state_message().find("2 ranks of 4 cores") != std::string::npos;
  });
  EXPECT_EQ(waits.state(), pb::QUEUED);
  pb::ExplainJobRequest request;
  request.set_name(job.name());
  pb::JobExplanation why;
  ASSERT_TRUE(cluster_.jobs().ExplainJob(Context().get(), request, &why).ok());
  EXPECT_THAT(why.unblock(0), HasSubstr("it began with so many"));
  ASSERT_EQ(why.details_size(), 1);
  EXPECT_EQ(why.details(0), "node node-six: 6 of 6 cores free");
  cluster_.StartWorker("node-b", "", 4);
  const pb::Job again =
      cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.state() == pb::RUNNING; });
  EXPECT_EQ(RunPart(cluster_, "node-b", again)["threads"], 4);
  EXPECT_EQ(RunPart(cluster_, "node-b", again)["job_created"], job.create_time().seconds());
  EXPECT_EQ(RunPart(cluster_, "node-six", again)["threads"], 4);
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  ExpectEachStepOnce(job, 1000);
}

}  // namespace
}  // namespace ft::testing
