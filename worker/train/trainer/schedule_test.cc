#include "worker/train/trainer/schedule.h"

#include <gtest/gtest.h>

namespace ft::train {
namespace {

TEST(ScheduleTest, CosineWithoutWarmupEqualsPublishedValues) {
  const recipe::ScheduleSpec schedule{.kind = "cosine", .warmup = 0};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 2e-4, 1, 1000), 2e-4);
  EXPECT_NEAR(LearningRate(schedule, 2e-4, 101, 1000), 1.9510565e-4, 1e-11);
  EXPECT_NEAR(LearningRate(schedule, 2e-4, 501, 1000), 1.0e-4, 1e-12);
  EXPECT_NEAR(LearningRate(schedule, 2e-4, 901, 1000), 4.894348e-6, 1e-12);
}

TEST(ScheduleTest, WarmupReachesThePeakAndShareRoundsUp) {
  const recipe::ScheduleSpec share{.kind = "linear", .warmup = 0.03};
  EXPECT_EQ(WarmupSteps(share, 50), 2);
  EXPECT_DOUBLE_EQ(LearningRate(share, 1.0, 1, 50), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(share, 1.0, 2, 50), 1.0);
  EXPECT_DOUBLE_EQ(LearningRate(share, 1.0, 3, 50), 1.0);
  EXPECT_NEAR(LearningRate(share, 1.0, 50, 50), 1.0 / 48, 1e-12);
  const recipe::ScheduleSpec count{.kind = "constant", .warmup = 10};
  EXPECT_DOUBLE_EQ(LearningRate(count, 1.0, 5, 50), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(count, 1.0, 50, 50), 1.0);
}

TEST(ScheduleTest, WarmupLongerThanTheRunAndOneStepRunsAreFinite) {
  const recipe::ScheduleSpec schedule{.kind = "cosine", .warmup = 100};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1.0, 3, 3), 1.0);
  EXPECT_DOUBLE_EQ(LearningRate({.kind = "cosine", .warmup = 0}, 1.0, 1, 1), 1.0);
}

}  // namespace
}  // namespace ft::train
