// Gangs: several ranks on one node and over several nodes. They start together, and one failure stops and
// restarts them all, once.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>

#include "tests/control/cluster.h"

namespace ft::testing {
namespace {

pb::Job Submit(Cluster& cluster, const CreateOptions& options) {
  pb::Job job;
  const grpc::Status status = cluster.Create(options, &job);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return job;
}

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

void ExpectWholeSeries(Cluster& cluster, const std::string& job, size_t steps) {
  const std::vector<pb::MetricPoint> points = cluster.Metrics(job);
  ASSERT_EQ(points.size(), steps);
  for (size_t i = 0; i < steps; ++i) EXPECT_EQ(points[i].record().step().step(), static_cast<int64_t>(i + 1));
}

TEST(Gang, FourRanksOfOneNodeMeetBelowTheAttemptsFolder) {
  Cluster cluster;
  cluster.StartCoordinator();
  cluster.StartWorker();
  const pb::Job job = Submit(cluster, {.name = "j", .ranks = 4});
  const pb::Job done = cluster.WaitForState(job.name(), pb::SUCCEEDED);
  const nlohmann::json run = RunPart(cluster, kNode, done);
  EXPECT_EQ(run["world_size"], 4);
  EXPECT_EQ(run["ranks_on_node"], (nlohmann::json{0, 1, 2, 3}));
  EXPECT_EQ(run["rendezvous"], (nlohmann::json{{"store", "file"}, {"path", "rendezvous"}}));
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(cluster.RunDir(IdOf(done))) / "attempts" /
                                        std::to_string(done.epoch()) / ("rank" + std::to_string(rank)) /
                                        "records.ftr"));
  }
  ExpectWholeSeries(cluster, "j", 20);
  cluster.Check();
}

TEST(Gang, OneDeadRankRestartsAllFromTheCheckpointAndCountsOnce) {
  Cluster cluster;
  cluster.StartCoordinator();
  cluster.StartWorker();
  const pb::Job job =
      Submit(cluster, {.name = "j",
                       .labels = "  fake_steps: \"60\"\n  fake_step_ms: \"3\"\n  fake_crash_at: \"25\"\n"
                                 "  fake_crash_epochs: \"2\"\n  fake_crash_rank: \"1\"\n",
                       .every_steps = 10,
                       .ranks = 2});
  const pb::Job done = cluster.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 3);
  EXPECT_EQ(CountStates(cluster, "j", "RECOVERING"), 1);
  ExpectWholeSeries(cluster, "j", 60);
  cluster.Check();
}

TEST(Gang, PeerThatDiesAfterTheResultOfRankZeroChangesNothing) {
  Cluster cluster;
  cluster.StartCoordinator();
  cluster.StartWorker();
  const pb::Job job = Submit(cluster, {.name = "j", .labels = "  fake_result_lost: \"1\"\n", .ranks = 2});
  EXPECT_EQ(cluster.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
  cluster.Check();
}

TEST(Gang, RanksOfTwoNodesMeetAtTheAddressThatRankZeroTold) {
  Cluster cluster({.shared = true});
  cluster.StartCoordinator();
  cluster.StartWorker("node-a");
  cluster.StartWorker("node-b");
  ASSERT_TRUE(Eventually([&] { return cluster.Nodes().size() == 2; }));
  const pb::Job job =
      Submit(cluster, {.name = "j", .labels = "  fake_steps: \"40\"\n", .threads = 4, .ranks = 2});
  const pb::Job done = cluster.WaitForState(job.name(), pb::SUCCEEDED);
  std::vector<int> all;
  for (const char* node : {"node-a", "node-b"}) {
    const nlohmann::json run = RunPart(cluster, node, done);
    EXPECT_EQ(run["world_size"], 2);
    EXPECT_EQ(run["rendezvous"], (nlohmann::json{{"store", "tcp"}, {"host", "127.0.0.1"}}));
    ASSERT_EQ(run["ranks_on_node"].size(), 1u);
    all.push_back(run["ranks_on_node"][0]);
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, (std::vector<int>{0, 1}));
  ExpectWholeSeries(cluster, "j", 40);
  cluster.Check();
}

TEST(Gang, CancelStopsEveryRankForGood) {
  Cluster cluster;
  cluster.StartCoordinator();
  cluster.StartWorker();
  const pb::Job job = Submit(cluster, {.name = "j", .labels = "  fake_steps: \"1000000\"\n", .ranks = 4});
  cluster.WaitForState(job.name(), pb::RUNNING);
  ASSERT_TRUE(cluster.Cancel(job.name()).ok());
  cluster.WaitForState(job.name(), pb::CANCELLED);
  EXPECT_TRUE(cluster.RankPids().empty());
  cluster.Check();
}

TEST(Gang, PauseAndResumeGoOnFromTheSameStep) {
  Cluster cluster;
  cluster.StartCoordinator();
  cluster.StartWorker();
  const pb::Job job =
      Submit(cluster, {.name = "j", .labels = "  fake_steps: \"300\"\n  fake_step_ms: \"3\"\n", .ranks = 2});
  cluster.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 20; });
  pb::PauseJobRequest pause;
  pause.set_name(job.name());
  pb::Job reply;
  ASSERT_TRUE(cluster.jobs().PauseJob(Context().get(), pause, &reply).ok());
  const pb::Job paused = cluster.WaitForState(job.name(), pb::PAUSED);
  EXPECT_GT(paused.progress().checkpoint_step(), 20);
  pb::ResumeJobRequest resume;
  resume.set_name(job.name());
  ASSERT_TRUE(cluster.jobs().ResumeJob(Context().get(), resume, &reply).ok());
  cluster.WaitForState(job.name(), pb::SUCCEEDED);
  ExpectWholeSeries(cluster, "j", 300);
  cluster.Check();
}

}  // namespace
}  // namespace ft::testing
