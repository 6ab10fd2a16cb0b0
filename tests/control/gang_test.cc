// Gangs: several ranks on one node and over several nodes. They start together, and one failure stops and
// restarts them all, once.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>

#include "tests/control/started_cluster.h"

namespace ft::testing {
namespace {

nlohmann::json RunPart(const Cluster& cluster, const std::string& node, const pb::Job& job) {
  std::ifstream file(cluster.WorkerDir(node) / "runs" / IdOf(job) / "attempts" / std::to_string(job.epoch()) /
                     "job.json");
  return nlohmann::json::parse(file)["run"];
}

int CountStates(Cluster& cluster, const std::string& job, const std::string& to) {
  const std::vector<pb::Event> events = cluster.Events(job);
  return static_cast<int>(std::count_if(events.begin(), events.end(),
                                        [&](const pb::Event& event) { return event.to_state() == to; }));
}

using Gang = StartedCluster;

class GangOverNodes : public StartedCluster {
 protected:
  GangOverNodes() : StartedCluster({.shared = true}) {}
};

TEST_F(Gang, FourRanksOfOneNodeMeetBelowTheAttemptsFolder) {
  const pb::Job job = Submit({.name = "j", .ranks = 4});
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  const nlohmann::json run = RunPart(cluster_, kNode, done);
  EXPECT_EQ(run["world_size"], 4);
  EXPECT_EQ(run["ranks_on_node"], (nlohmann::json{0, 1, 2, 3}));
  EXPECT_EQ(run["rendezvous"], (nlohmann::json{{"store", "file"}, {"path", "rendezvous"}}));
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(cluster_.RunDir(IdOf(done))) / "attempts" /
                                        std::to_string(done.epoch()) / ("rank" + std::to_string(rank)) /
                                        "records.ftr"));
  }
  ExpectWholeSeries("j", 20);
}

TEST_F(Gang, OneDeadRankRestartsAllFromTheCheckpointAndCountsOnce) {
  const pb::Job job =
      Submit({.name = "j",
              .labels = "  fake_steps: \"60\"\n  fake_step_ms: \"3\"\n  fake_crash_at: \"25\"\n"
                        "  fake_crash_epochs: \"2\"\n  fake_crash_rank: \"1\"\n",
              .every_steps = 10,
              .ranks = 2});
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 3);
  EXPECT_EQ(CountStates(cluster_, "j", "RECOVERING"), 1);
  ExpectWholeSeries("j", 60);
}

TEST_F(Gang, PeerThatDiesAfterTheResultOfRankZeroChangesNothing) {
  const pb::Job job = Submit({.name = "j", .labels = "  fake_result_lost: \"1\"\n", .ranks = 2});
  EXPECT_EQ(cluster_.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
}

TEST_F(GangOverNodes, RanksOfTwoNodesMeetAtTheAddressThatRankZeroTold) {
  cluster_.StartWorker("node-b");
  ASSERT_TRUE(Eventually([&] { return cluster_.Nodes().size() == 2; }));
  const pb::Job job = Submit({.name = "j", .labels = "  fake_steps: \"40\"\n", .threads = 4, .ranks = 2});
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  std::vector<int> all;
  for (const char* node : {"node-a", "node-b"}) {
    const nlohmann::json run = RunPart(cluster_, node, done);
    EXPECT_EQ(run["world_size"], 2);
    EXPECT_EQ(run["rendezvous"], (nlohmann::json{{"store", "tcp"}, {"host", "127.0.0.1"}}));
    ASSERT_EQ(run["ranks_on_node"].size(), 1u);
    all.push_back(run["ranks_on_node"][0]);
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, (std::vector<int>{0, 1}));
  ExpectWholeSeries("j", 40);
}

TEST_F(Gang, CancelStopsEveryRankForGood) {
  const pb::Job job = Submit({.name = "j", .labels = "  fake_steps: \"1000000\"\n", .ranks = 4});
  cluster_.WaitForState(job.name(), pb::RUNNING);
  ASSERT_TRUE(cluster_.Cancel(job.name()).ok());
  cluster_.WaitForState(job.name(), pb::CANCELLED);
  EXPECT_TRUE(cluster_.RankPids().empty());
}

TEST_F(Gang, PauseAndResumeGoOnFromTheSameStep) {
  const pb::Job job =
      Submit({.name = "j", .labels = "  fake_steps: \"300\"\n  fake_step_ms: \"3\"\n", .ranks = 2});
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 20; });
  pb::PauseJobRequest pause;
  pause.set_name(job.name());
  pb::Job reply;
  ASSERT_TRUE(cluster_.jobs().PauseJob(Context().get(), pause, &reply).ok());
  const pb::Job paused = cluster_.WaitForState(job.name(), pb::PAUSED);
  EXPECT_GT(paused.progress().checkpoint_step(), 20);
  pb::ResumeJobRequest resume;
  resume.set_name(job.name());
  ASSERT_TRUE(cluster_.jobs().ResumeJob(Context().get(), resume, &reply).ok());
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  ExpectWholeSeries("j", 300);
}

}  // namespace
}  // namespace ft::testing
