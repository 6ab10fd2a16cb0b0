#include "worker/node/agent/watchdog.h"

#include <gtest/gtest.h>

namespace ft::agent {
namespace {

using absl::Seconds;
using finetune::worker::v1::RankRecord;

RankRecord Beat(const std::string& phase) {
  RankRecord record;
  record.mutable_beat()->set_phase(phase);
  return record;
}

RankRecord Step(double seconds) {
  RankRecord record;
  record.mutable_step()->set_seconds(seconds);
  return record;
}

// Looked at every second from `from` to `to`: when it was first held to hang, or -1.
int HangsAt(Watchdog& watchdog, int from, int to) {
  for (int second = from; second <= to; ++second) {
    if (watchdog.Look(Seconds(second))) return second;
  }
  return -1;
}

TEST(Watchdog, LoadingMayTakeLongAndStepsMayNot) {
  Watchdog watchdog({Seconds(120), Seconds(1800)}, Seconds(0));
  EXPECT_EQ(HangsAt(watchdog, 0, 1799), -1);
  watchdog.OnRecord(Beat("train"), Seconds(1799));
  EXPECT_EQ(HangsAt(watchdog, 1800, 3000), 1799 + 120);
}

TEST(Watchdog, SlowStepsRaiseTheLimitToFiveOfTheirMedian) {
  Watchdog watchdog({Seconds(120), Seconds(1800)}, Seconds(0));
  for (int i = 0; i < 50; ++i) watchdog.OnRecord(Step(i < 25 ? 1 : 40), Seconds(0));
  EXPECT_EQ(HangsAt(watchdog, 0, 1000), 200);
}

TEST(Watchdog, ARankThatToldItsResultIsLeftAlone) {
  Watchdog watchdog({Seconds(1), Seconds(1)}, Seconds(0));
  RankRecord result;
  result.mutable_result();
  watchdog.OnRecord(result, Seconds(0));
  EXPECT_EQ(HangsAt(watchdog, 0, 100), -1);
}

// A hub that asks to wait, or another process that downloads the same, may keep a rank longer than a step may take.
TEST(Watchdog, ADownloadHasTheTimeOfAStartWithoutABytesProgress) {
  Watchdog watchdog({Seconds(120), Seconds(1800)}, Seconds(0));
  RankRecord beat = Beat("download");
  beat.mutable_beat()->set_bytes(7);
  for (int second = 0; second < 1000; second += 10) {
    watchdog.OnRecord(beat, Seconds(second));
    EXPECT_FALSE(watchdog.Look(Seconds(second)));
  }
  EXPECT_EQ(HangsAt(watchdog, 1000, 3000), 1800);
}

TEST(Watchdog, TimeInWhichTheAgentStoodStillDoesNotCount) {
  Watchdog watchdog({Seconds(120), Seconds(120)}, Seconds(0));
  EXPECT_FALSE(watchdog.Look(Seconds(1)));
  EXPECT_FALSE(watchdog.Look(Seconds(1000)));  // The agent, or the machine, was stopped.
  EXPECT_FALSE(watchdog.Look(Seconds(1001)));
  EXPECT_EQ(HangsAt(watchdog, 1002, 2000), 1000 + 119);
}

}  // namespace
}  // namespace ft::agent
