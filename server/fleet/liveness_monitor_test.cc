#include "server/fleet/liveness_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

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

struct RankWait {
  int64_t sequence = 0;  // 0 = it does not wait.
  int missing = -1;
};

// A gang on one node, its ranks in tree sums.
std::shared_ptr<spb::StoredAttempt> WaitingGang(const std::vector<RankWait>& waits) {
  auto attempt = std::make_shared<spb::StoredAttempt>();
  attempt->set_job_id("j");
  attempt->set_epoch(2);
  attempt->set_state(spb::StoredAttempt::RUNNING);
  for (const RankWait& wait : waits) {
    spb::StoredRank& rank = *attempt->add_ranks();
    rank.set_rank(attempt->ranks_size() - 1);
    rank.set_node_id("a");
    rank.set_state(state::wpb::RANK_RUNNING);
    if (wait.sequence == 0) continue;
    rank.mutable_wait()->set_operation("tree sum");
    rank.mutable_wait()->set_sequence(wait.sequence);
    rank.mutable_wait()->set_missing_rank(wait.missing);
  }
  return attempt;
}

class WaitingGangTest : public LivenessMonitorTest {
 protected:
  // What is told of a gang that makes no progress, once ranks `heard` have gone on saying that they wait.
  std::string ToldOf(const std::vector<RankWait>& waits, const std::set<int>& heard) {
    const std::shared_ptr<spb::StoredAttempt> gang = WaitingGang(waits);
    state_.active.Set(state::AttemptKey("j", 2), gang);
    LivenessMonitor liveness{VerdictRules()};
    EXPECT_TRUE(liveness.Look(state_, {}, absl::Seconds(100)).empty());
    for (int second = 101;; ++second) {
      for (const int rank : heard) {
        spb::StoredRank& stored = *gang->mutable_ranks(rank);
        stored.set_wait_beats(stored.wait_beats() + 1);
      }
      const auto noticed = liveness.Look(state_, {}, absl::Seconds(second));
      if (!noticed.empty()) return noticed[0].message;
      if (second > 110) return "nothing";
    }
  }
};

// A rank that was stopped while it waited has its old wait; the peer it waited for has come, and waits for it since.
TEST_F(WaitingGangTest, ARankWhoseWaitIsOldIsNamedByThePeerThatCame) {
  EXPECT_EQ(ToldOf({{30, 1}, {29, 0}}, {0}),
            "rank 0 waits for rank 1 in tree sum 30, and no rank made progress for 5s");
}

TEST_F(WaitingGangTest, OfTwoThatNameEachOtherInOneExchangeTheSilentOneIsMissing) {
  EXPECT_THAT(ToldOf({{29, 1}, {29, 0}}, {0}),
              testing::StartsWith("rank 0 waits for rank 1 in tree sum 29,"));
  EXPECT_THAT(ToldOf({{29, 1}, {29, 0}}, {1}),
              testing::StartsWith("rank 1 waits for rank 0 in tree sum 29,"));
}

// While devices exchange, nobody knows whom he waits for.
TEST_F(WaitingGangTest, WhereTheTransportDoesNotKnowTheSilentRankIsMissing) {
  EXPECT_THAT(ToldOf({{40}, {}}, {0}), testing::StartsWith("rank 0 waits for rank 1 in tree sum 40,"));
  EXPECT_THAT(ToldOf({{40}, {40}, {40}, {40}}, {0, 1, 3}),
              testing::StartsWith("rank 0 waits for rank 2 in tree sum 40,"));
}

// Ranks wait along a tree: one that speaks is not missing, however many wait for it.
TEST_F(WaitingGangTest, ASilentRankIsMissingThoughTheEarliestWaitNamesAnother) {
  EXPECT_THAT(ToldOf({{29, 1}, {29, 2}, {}}, {0, 1}),
              testing::StartsWith("rank 0 waits for rank 2 in tree sum 29,"));
}

TEST_F(WaitingGangTest, WhereAllSpeakTheEarliestWaitTells) {
  EXPECT_THAT(ToldOf({{31, 1}, {30, 2}, {31, 0}}, {0, 1, 2}),
              testing::StartsWith("rank 1 waits for rank 2 in tree sum 30,"));
  EXPECT_THAT(ToldOf({{40}, {40}}, {0, 1}),
              testing::StartsWith("rank 0 waits for its peers in tree sum 40,"));
}

class SilentRankTest : public LivenessMonitorTest {
 protected:
  // After how many seconds a gang of two is held to hang, in which rank 0 tells twice a second that it waits and rank 1, in this phase, says
  // nothing; -1 = within 700 it is not. `working`: rank 0 makes progress all the while.
  int SecondsUntilHung(const RankWait& last_wait, const char* phase, double step_seconds,
                       bool working = false) {
    const std::shared_ptr<spb::StoredAttempt> gang = WaitingGang({{30, 1}, last_wait});
    gang->set_step_seconds(step_seconds);
    for (spb::StoredRank& rank : *gang->mutable_ranks()) rank.set_phase(phase);
    state_.active.Set(state::AttemptKey("j", 2), gang);
    LivenessMonitor liveness{VerdictRules()};
    for (int second = 100; second < 800; ++second) {
      spb::StoredRank& speaks = *gang->mutable_ranks(0);
      speaks.set_wait_beats(speaks.wait_beats() + 2);
      if (working) speaks.set_beats(speaks.beats() + 1);
      for (const Finding& finding : liveness.Look(state_, {}, absl::Seconds(second))) {
        if (finding.wait != WaitVerdict::kHung) continue;
        EXPECT_THAT(finding.message, testing::StartsWith("rank 0 waits for rank 1 in tree sum 30, "));
        return second - 100;
      }
    }
    return -1;
  }
};

// Whether a rank was stopped while it waited or while it worked: its peers do not wait two minutes for it.
TEST_F(SilentRankTest, IsNotWaitedForLongerThanItsStepsTake) {
  EXPECT_EQ(SecondsUntilHung({}, "train", 0.1), 30);
  EXPECT_EQ(SecondsUntilHung({29, 0}, "train", 0.1), 30);
  EXPECT_EQ(SecondsUntilHung({}, "train", 5), 50);
  EXPECT_EQ(SecondsUntilHung({}, "train", 20), 120);  // Ten steps are more than any gang is given.
  EXPECT_EQ(SecondsUntilHung({}, "train", 60), 300);  // Five of its steps it has.
}

TEST_F(SilentRankTest, HasItsTimeWhereBeatsAreRare) {
  EXPECT_EQ(SecondsUntilHung({}, "train", 0), 120);  // How long its first step takes nobody knows.
  EXPECT_EQ(SecondsUntilHung({}, "evaluate", 0.1), 120);
  EXPECT_EQ(SecondsUntilHung({}, "checkpoint", 0.1), 120);
  EXPECT_EQ(SecondsUntilHung({}, "load", 0), 600);
}

TEST_F(SilentRankTest, IsNotMissedByAGangThatGoesOn) {
  EXPECT_EQ(SecondsUntilHung({}, "train", 0.1, /*working=*/true), -1);
}

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
