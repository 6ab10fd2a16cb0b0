#include "server/fleet/liveness_monitor.h"

#include <gtest/gtest.h>

namespace ft::fleet {
namespace {

namespace spb = state::spb;

// A job with rank 0 on node a and rank 1 on node b.
class LivenessMonitorTest : public testing::Test {
 protected:
  LivenessMonitorTest() {
    auto job = std::make_shared<spb::StoredJob>();
    job->set_job_id("j");
    state_.jobs.Set("j", job);
    SetBeats(0, 0);
  }

  void SetBeats(int64_t a, int64_t b) {
    auto attempt = std::make_shared<spb::StoredAttempt>();
    attempt->set_job_id("j");
    attempt->set_epoch(2);
    for (const auto& [node, beats] : {std::pair{"a", a}, std::pair{"b", b}}) {
      spb::StoredRank& rank = *attempt->add_ranks();
      rank.set_rank(attempt->ranks_size() - 1);
      rank.set_node_id(node);
      rank.set_state(state::wpb::RANK_RUNNING);
      rank.set_beats(beats);
      rank.set_phase("train");
    }
    state_.active.Set(state::AttemptKey("j", 2), attempt);
  }

  std::vector<Finding> Look(int second, std::map<std::string, absl::Duration> unreachable) {
    return liveness_.Look(state_, unreachable, absl::Seconds(second));
  }

  state::ClusterState state_;
  LivenessMonitor liveness_{VerdictRules()};
};

TEST_F(LivenessMonitorTest, BeatsOfTheOtherNodeProveThatTheGangLives) {
  SetBeats(10, 10);
  EXPECT_TRUE(Look(100, {{"b", absl::Seconds(100)}}).empty());
  SetBeats(11, 10);
  EXPECT_TRUE(Look(101, {{"b", absl::Seconds(100)}}).empty());
  SetBeats(12, 10);
  const auto alive = Look(102, {{"b", absl::Seconds(100)}});
  ASSERT_EQ(alive.size(), 1u);
  EXPECT_EQ(alive[0].verdict, Verdict::kAlive);
  SetBeats(13, 10);
  EXPECT_TRUE(Look(103, {{"b", absl::Seconds(100)}}).empty());  // Said once.
  EXPECT_TRUE(Look(117, {{"b", absl::Seconds(100)}}).empty());
  const auto dead = Look(118, {{"b", absl::Seconds(100)}});
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_EQ(dead[0].verdict, Verdict::kDead);
  EXPECT_EQ(dead[0].nodes, std::vector<std::string>{"b"});
}

TEST_F(LivenessMonitorTest, TheStallCountsFromTheSilenceNotFromTheLastBeatBefore) {
  SetBeats(10, 10);
  EXPECT_TRUE(Look(5, {}).empty());
  EXPECT_TRUE(Look(100, {{"b", absl::Seconds(100)}}).empty());
  EXPECT_TRUE(Look(114, {{"b", absl::Seconds(100)}}).empty());
  EXPECT_EQ(Look(115, {{"b", absl::Seconds(100)}}).size(), 1u);
}

TEST_F(LivenessMonitorTest, AllNodesUnreachableLeavesNobodyToTell) {
  const std::map<std::string, absl::Duration> unreachable = {{"a", absl::Seconds(1)},
                                                             {"b", absl::Seconds(9)}};
  EXPECT_TRUE(Look(10, unreachable).empty());
  EXPECT_TRUE(Look(120, unreachable).empty());
  EXPECT_EQ(Look(121, unreachable).at(0).nodes.size(), 2u);
}

TEST_F(LivenessMonitorTest, ANodeThatComesBackStartsAfresh) {
  Look(100, {{"b", absl::Seconds(100)}});
  Look(110, {});
  EXPECT_TRUE(Look(120, {{"b", absl::Seconds(120)}}).empty());
  EXPECT_TRUE(Look(134, {{"b", absl::Seconds(120)}}).empty());
  EXPECT_EQ(Look(135, {{"b", absl::Seconds(120)}}).size(), 1u);
}

}  // namespace
}  // namespace ft::fleet
