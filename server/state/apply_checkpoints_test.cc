#include <gtest/gtest.h>
#include <signal.h>

#include "server/state/capacity.h"
#include "server/state/cluster_fixture.h"

namespace ft::state {
namespace {

TEST(Apply, OnlyTheNewestCheckpointsStay) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  for (int64_t step = 10; step <= 50; step += 10) cluster.Checkpoint("j", step);
  const auto rows = cluster.state().checkpoints.Under("j");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]->checkpoint().step(), 40);
  EXPECT_EQ(rows[1]->checkpoint().step(), 50);
  EXPECT_EQ(cluster.state().nodes.Find("a")->deletions_size(), 3);
  EXPECT_EQ(OutstandingCommands(cluster.state(), "a").size(), 1u + 3u);  // Its start is not confirmed yet.
  wpb::DeleteFiles done;
  done.set_job_id("j");
  done.add_paths("checkpoints/e2-s10");
  cluster.Do(FilesDeleted{"a", done});
  EXPECT_EQ(cluster.state().nodes.Find("a")->deletions_size(), 2);
}

// An attempt that had to take an older checkpoint: what it writes counts again from there, whatever was committed before.
TEST(Apply, ADamagedCheckpointCountsNoMore) {
  Cluster cluster;
  cluster.Create("j");
  cluster.FinishPrepare("j");
  cluster.Checkpoint("j", 10);
  cluster.Checkpoint("j", 20);
  cluster.Report("j", wpb::RANK_EXITED, 0, SIGKILL);
  const Transition restarted = cluster.Do(SchedulePass{});
  ASSERT_EQ(restarted.commands.size(), 1u);
  const wpb::StartRanks& start = restarted.commands[0].command.start_ranks();
  EXPECT_EQ(start.resume_path(), "checkpoints/e2-s20");
  ASSERT_EQ(start.committed_checkpoints_size(), 2);
  EXPECT_EQ(start.committed_checkpoints(0), "checkpoints/e2-s10");
  ASSERT_EQ(start.committed_manifests_size(), 2);
  EXPECT_EQ(start.committed_manifests(0), "manifest of 10");
  EXPECT_EQ(start.committed_manifests(1), "manifest of 20");
  const auto plan = [](int64_t first_step) {
    wpb::RankRecord record;
    record.set_sequence(1);
    record.mutable_plan()->set_first_step(first_step);
    return record;
  };
  cluster.Records("j", {plan(11)});
  EXPECT_EQ(cluster.Job("j").progress().checkpoint_step(), 10);
  ASSERT_EQ(cluster.state().checkpoints.Under("j").size(), 1u);
  // A step between the two is a checkpoint again, and the next attempt starts from it.
  cluster.Checkpoint("j", 15);
  EXPECT_EQ(cluster.Job("j").progress().checkpoint_step(), 15);
  cluster.Report("j", wpb::RANK_EXITED, 0, SIGKILL);
  cluster.Do(SchedulePass{});
  EXPECT_EQ(cluster.Attempt("j").resume_step(), 15);
  EXPECT_EQ(cluster.Attempt("j").resume_path(), "checkpoints/e3-s15");
  // One that takes what it was given changes nothing, and neither does a plan that comes late.
  cluster.Records("j", {plan(16)});
  cluster.Checkpoint("j", 30);
  EXPECT_EQ(cluster.Job("j").progress().checkpoint_step(), 30);
  EXPECT_EQ(cluster.state().checkpoints.Under("j").size(), 2u);
}

}  // namespace
}  // namespace ft::state
