#include "worker/data/sample_order.h"

#include <gtest/gtest.h>

#include <set>

namespace ft::data {
namespace {

TEST(ShuffledTest, IsAPermutationForEverySize) {
  for (int64_t size : {1, 2, 3, 5, 16, 17, 64, 100, 1000, 4097}) {
    std::set<int64_t> seen;
    for (int64_t i = 0; i < size; ++i) seen.insert(Shuffled(42, 3, i, size));
    EXPECT_EQ(static_cast<int64_t>(seen.size()), size);
    EXPECT_EQ(*seen.rbegin(), size - 1);
  }
}

TEST(ShuffledTest, SeedAndEpochChangeTheOrder) {
  int same_epoch = 0, same_seed = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    same_epoch += Shuffled(1, 0, i, 1000) == Shuffled(2, 0, i, 1000);
    same_seed += Shuffled(1, 0, i, 1000) == Shuffled(1, 1, i, 1000);
  }
  EXPECT_LT(same_epoch, 15);
  EXPECT_LT(same_seed, 15);
}

TEST(StepSamplesTest, EveryEpochSeesEverySampleOnceAndTheLastStepIsShort) {
  const OrderConfig config{.seed = 9, .samples = 10, .epochs = 2, .micro_batch = 2, .accumulation = 3};
  EXPECT_EQ(TotalSteps(config), 4);
  std::multiset<int64_t> seen;
  uint64_t key = 0;
  for (int64_t step = 1; step <= 4; ++step) {
    for (const auto& micro_batch : StepSamples(config, step)) {
      EXPECT_LE(micro_batch.size(), 2u);
      for (const OrderedSample& sample : micro_batch) {
        seen.insert(sample.index);
        EXPECT_EQ(sample.key, key++);
      }
    }
  }
  EXPECT_EQ(seen.size(), 20u);
  for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(seen.count(i), 2u);
  EXPECT_EQ(StepSamples(config, 4).size(), 1u);
}

TEST(StepSamplesTest, MaxStepsRunsOverTheEpochsEnd) {
  const OrderConfig config{.samples = 3, .max_steps = 5, .micro_batch = 2, .accumulation = 1};
  EXPECT_EQ(TotalSteps(config), 5);
  EXPECT_EQ(StepSamples(config, 5)[0].size(), 2u);
}

}  // namespace
}  // namespace ft::data
