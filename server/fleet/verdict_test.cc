#include "server/fleet/verdict.h"

#include <gtest/gtest.h>

namespace ft::fleet {
namespace {

using absl::Seconds;

GangView Gang(int unreachable, int64_t beats, int since_beat) {
  GangView gang;
  gang.unreachable_for = Seconds(unreachable);
  gang.has_witness = true;
  gang.beats = beats;
  gang.since_beat = Seconds(since_beat);
  gang.phase_limit = Seconds(15);
  return gang;
}

TEST(Judge, TwoFurtherBeatsAreLifeHoweverLongTheSilence) {
  const VerdictRules rules;
  EXPECT_EQ(Judge(rules, Gang(1, 0, 1)), Verdict::kWait);
  EXPECT_EQ(Judge(rules, Gang(1, 1, 0)), Verdict::kWait);  // It may have been in flight.
  EXPECT_EQ(Judge(rules, Gang(1, 2, 0)), Verdict::kAlive);
  EXPECT_EQ(Judge(rules, Gang(100'000, 5'000, 3)), Verdict::kAlive);
}

TEST(Judge, StalledBeatsAreDeathAfterThePhasesOwnLimit) {
  const VerdictRules rules;
  EXPECT_EQ(Judge(rules, Gang(14, 0, 14)), Verdict::kWait);
  EXPECT_EQ(Judge(rules, Gang(15, 0, 15)), Verdict::kDead);
  EXPECT_EQ(Judge(rules, Gang(500, 900, 15)), Verdict::kDead);  // It went on, then stalled.
  GangView evaluating = Gang(40, 2, 40);
  evaluating.phase_limit = PhaseLimit(rules, "evaluate", 1);
  EXPECT_EQ(Judge(rules, evaluating), Verdict::kAlive);
  evaluating.since_beat = Seconds(60);
  EXPECT_EQ(Judge(rules, evaluating), Verdict::kDead);
}

TEST(Judge, WithoutAWitnessOnlyTheNodeLossTimeoutDecides) {
  const VerdictRules rules;
  GangView gang = Gang(119, 0, 119);
  gang.has_witness = false;
  EXPECT_EQ(Judge(rules, gang), Verdict::kWait);
  gang.unreachable_for = Seconds(120);
  EXPECT_EQ(Judge(rules, gang), Verdict::kDead);
}

TEST(Judge, StrictExclusiveWaitsOneLeaseAndTheMarginAndNeverLonger) {
  const VerdictRules rules;
  GangView gang = Gang(19, 50, 0);
  gang.strict_exclusive = true;
  EXPECT_EQ(Judge(rules, gang), Verdict::kWait);
  gang.unreachable_for = Seconds(20);
  EXPECT_EQ(Judge(rules, gang), Verdict::kDead);  // Whatever it does: the silent node has killed its ranks.
}

TEST(PhaseLimit, SlowStepsAreGivenTheirTime) {
  const VerdictRules rules;
  EXPECT_EQ(PhaseLimit(rules, "train", 0.1), Seconds(15));
  EXPECT_EQ(PhaseLimit(rules, "train", 20), Seconds(100));
  EXPECT_EQ(PhaseLimit(rules, "", 0), Seconds(600));
}

}  // namespace
}  // namespace ft::fleet
