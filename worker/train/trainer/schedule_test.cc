#include "worker/train/trainer/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

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

// XTuner 0.1.9: lr(i) = lr0/2 (1 + cos(pi i / T)) at micro-batch i of T; a step takes the rate of its last one.
TEST(ScheduleTest, ByMicroBatchesEqualsXTuners) {
  for (const int64_t accumulation : {1, 4, 16}) {
    const int64_t total = 3 * 333;
    const RatePlan plan{.schedule = {.kind = "cosine", .warmup = 0, .by = "micro_batch"},
                        .peak = 2e-4,
                        .total_steps = (total + accumulation - 1) / accumulation,
                        .total_micro_batches = total,
                        .micro_batches_per_step = accumulation};
    for (int64_t step = 1; step <= plan.total_steps; ++step) {
      const auto i = static_cast<double>(std::min(step * accumulation, total) - 1);
      const double expected = 1e-4 * (1 + std::cos(std::numbers::pi * i / static_cast<double>(total)));
      EXPECT_NEAR(LearningRate(plan, step), expected, 1e-12 * 2e-4) << accumulation << " " << step;
    }
  }
  const RatePlan published{.schedule = {.kind = "cosine", .warmup = 0, .by = "micro_batch"},
                           .peak = 2e-4,
                           .total_steps = 10,
                           .total_micro_batches = 1000,
                           .micro_batches_per_step = 100};
  EXPECT_NEAR(LearningRate(published, 1), 2e-4 / 2 * (1 + std::cos(std::numbers::pi * 0.099)), 1e-16);
}

// transformers' cosine with warm-up: the n-th step takes what its lambda gives for n - 1 steps.
TEST(ScheduleTest, WarmUpFromZeroEqualsTransformers) {
  const RatePlan plan{.schedule = {.kind = "cosine", .warmup = 100},
                      .peak = 2e-4,
                      .total_steps = 350,
                      .warmup_from_zero = true};
  for (int64_t step = 1; step <= 350; ++step) {
    const auto n = static_cast<double>(step - 1);
    const double expected =
        n < 100 ? 2e-4 * n / 100 : 2e-4 * 0.5 * (1 + std::cos(std::numbers::pi * (n - 100) / 250));
    EXPECT_NEAR(LearningRate(plan, step), expected, 1e-12 * 2e-4) << step;
  }
  EXPECT_EQ(LearningRate(plan, 1), 0);
}

TEST(ScheduleTest, APlanByStepsIsTheStepsOwnRate) {
  const recipe::ScheduleSpec schedule{.kind = "linear", .warmup = 0.1};
  const RatePlan plan{.schedule = schedule, .peak = 1e-3, .total_steps = 40, .total_micro_batches = 160};
  for (int64_t step = 1; step <= 40; ++step)
    EXPECT_EQ(LearningRate(plan, step), LearningRate(schedule, 1e-3, step, 40));
}

}  // namespace
}  // namespace ft::train
