#include "worker/data/cache/batch_sampler.h"

#include <gtest/gtest.h>

#include <set>

namespace ft::data {
namespace {

TEST(ShuffledTest, IsAPermutationForEverySize) {
  for (int64_t size : {1, 2, 3, 5, 16, 17, 64, 100, 1000, 4097}) {
    std::set<int64_t> seen;
    for (int64_t i = 0; i < size; ++i) seen.insert(PermutedIndex(42, 3, i, size));
    EXPECT_EQ(static_cast<int64_t>(seen.size()), size);
    EXPECT_EQ(*seen.rbegin(), size - 1);
  }
}

TEST(ShuffledTest, SeedAndEpochChangeTheOrder) {
  int same_epoch = 0, same_seed = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    same_epoch += PermutedIndex(1, 0, i, 1000) == PermutedIndex(2, 0, i, 1000);
    same_seed += PermutedIndex(1, 0, i, 1000) == PermutedIndex(1, 1, i, 1000);
  }
  EXPECT_LT(same_epoch, 15);
  EXPECT_LT(same_seed, 15);
}

TEST(BatchSamplerTest, EveryEpochSeesEverySampleOnceAndTheLastStepIsShort) {
  const BatchSampler order({.seed = 9, .samples = 10, .epochs = 2, .micro_batch = 2, .accumulation = 3});
  EXPECT_EQ(order.total_steps(), 4);
  std::multiset<int64_t> seen;
  uint64_t key = 0;
  for (int64_t step = 1; step <= 4; ++step) {
    for (const auto& micro_batch : order.Step(step)) {
      EXPECT_LE(micro_batch.size(), 2u);
      for (const OrderedSample& sample : micro_batch) {
        seen.insert(sample.index);
        EXPECT_EQ(sample.key, key++);
      }
    }
    EXPECT_EQ(order.SamplesSeen(step), static_cast<int64_t>(key));
  }
  EXPECT_EQ(seen.size(), 20u);
  for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(seen.count(i), 2u);
  EXPECT_EQ(order.Step(4).size(), 1u);
}

TEST(BatchSamplerTest, MaxStepsRunsOverTheEpochsEnd) {
  const BatchSampler order({.samples = 3, .max_steps = 5, .micro_batch = 2, .accumulation = 1});
  EXPECT_EQ(order.total_steps(), 5);
  EXPECT_EQ(order.Step(5)[0].size(), 2u);
}

constexpr int64_t kRow = 128;

SamplerConfig PackedConfig() {
  SamplerConfig config{.seed = 9,
                       .samples = 1000,
                       .epochs = 3,
                       .micro_batch = 2,
                       .accumulation = 4,
                       .packing = true,
                       .row_tokens = kRow};
  for (int64_t i = 0; i < config.samples; ++i) config.lengths.push_back(5 + (i * 37) % 90);
  return config;
}

TEST(PackingTest, EveryEpochSeesEverySampleOnceInRowsThatFit) {
  const SamplerConfig config = PackedConfig();
  const BatchSampler order(config);
  std::multiset<int64_t> seen;
  std::set<uint64_t> keys;
  for (int64_t step = 1; step <= order.total_steps(); ++step) {
    for (const auto& micro_batch : order.Step(step)) {
      int64_t tokens = 0;
      for (const OrderedSample& sample : micro_batch) {
        seen.insert(sample.index);
        keys.insert(sample.key);
        // The key is the sample's count in the shuffled order, as without packing.
        const auto epoch = static_cast<int64_t>(sample.key) / config.samples,
                   position = static_cast<int64_t>(sample.key) % config.samples;
        EXPECT_EQ(PermutedIndex(config.seed, epoch, position, config.samples), sample.index);
        tokens += config.lengths[static_cast<size_t>(sample.index)];
      }
      EXPECT_LE(tokens, 2 * kRow);
    }
  }
  EXPECT_EQ(keys.size(), 3000u);
  for (int64_t i = 0; i < config.samples; ++i) EXPECT_EQ(seen.count(i), 3u);
  EXPECT_EQ(order.SamplesSeen(order.total_steps()), 3000);
}

TEST(PackingTest, RowsAreNearlyFull) {
  const SamplerConfig config = PackedConfig();
  const BatchSampler order(config);
  int64_t tokens = 0;
  for (const int64_t length : config.lengths) tokens += 3 * length;
  const double rows = static_cast<double>(order.total_steps() * 8);
  EXPECT_GT(static_cast<double>(tokens) / (rows * kRow), 0.95);
}

// A run that goes on at a step packs the same rows as one that came to it.
TEST(PackingTest, AStepIsTheSameWheneverItIsAsked) {
  const BatchSampler whole(PackedConfig());
  std::vector<std::vector<std::vector<OrderedSample>>> steps;
  for (int64_t step = 1; step <= whole.total_steps(); ++step) steps.push_back(whole.Step(step));
  const BatchSampler resumed(PackedConfig());
  for (const int64_t step : {whole.total_steps(), int64_t{40}, int64_t{1}}) {
    const auto again = resumed.Step(step);
    const auto& first = steps[static_cast<size_t>(step - 1)];
    ASSERT_EQ(again.size(), first.size());
    for (size_t m = 0; m < again.size(); ++m) {
      ASSERT_EQ(again[m].size(), first[m].size());
      for (size_t i = 0; i < again[m].size(); ++i) EXPECT_EQ(again[m][i].key, first[m][i].key);
    }
  }
}

TEST(PackingTest, MaxStepsRunsOverTheEpochsEnd) {
  SamplerConfig config = PackedConfig();
  config.max_steps = 1000;
  const BatchSampler order(config);
  EXPECT_EQ(order.total_steps(), 1000);
  EXPECT_EQ(order.Step(1000).size(), 4u);
  EXPECT_GT(order.SamplesSeen(1000), 3000);
}

// Of ten samples a rank of four has three: two are taken twice. Its second micro-batch has one.
TEST(WholeEpochsTest, AnEpochIsDividedAsPyTorchDividesIt) {
  const BatchSampler order({.shuffle = false,
                            .samples = 10,
                            .epochs = 2,
                            .micro_batch = 2,
                            .accumulation = 12,
                            .ranks = 4,
                            .whole_epochs = true});
  EXPECT_EQ(order.total_iterations(), 4);
  EXPECT_EQ(order.total_steps(), 2);  // Three iterations, then one.
  std::vector<std::vector<int64_t>> found;
  for (const auto& micro_batch : order.Step(1)) {
    found.emplace_back();
    for (const OrderedSample& sample : micro_batch) found.back().push_back(sample.index);
  }
  const std::vector<std::vector<int64_t>> expected = {{0, 4}, {1, 5}, {2, 6}, {3, 7}, {8},    {9},
                                                      {0},    {1},    {0, 4}, {1, 5}, {2, 6}, {3, 7}};
  EXPECT_EQ(found, expected);
  EXPECT_EQ(order.Step(2).size(), 4u);
  EXPECT_EQ(order.SamplesSeen(1), 18);
  EXPECT_EQ(order.SamplesSeen(2), 20);
}

TEST(WholeEpochsTest, EpochsAndIterationsAreFoundInSteps) {
  SamplerConfig config{.samples = 5, .epochs = 3, .micro_batch = 2, .accumulation = 2, .whole_epochs = true};
  const BatchSampler whole(config);  // Three iterations an epoch, two a step.
  EXPECT_EQ(whole.total_steps(), 5);
  std::vector<int64_t> ended;
  std::vector<bool> third;
  for (int64_t step = 0; step <= 5; ++step) ended.push_back(whole.EpochsEnded(step));
  for (int64_t step = 1; step <= 5; ++step) third.push_back(whole.HoldsIteration(step, 3));
  EXPECT_EQ(ended, (std::vector<int64_t>{0, 0, 1, 2, 2, 3}));
  EXPECT_EQ(third, (std::vector<bool>{false, true, true, false, true}));
  config.whole_epochs = false;  // Five samples, four a step.
  const BatchSampler through(config);
  EXPECT_EQ(through.total_steps(), 4);
  ended.clear();
  for (int64_t step = 0; step <= 4; ++step) ended.push_back(through.EpochsEnded(step));
  EXPECT_EQ(ended, (std::vector<int64_t>{0, 0, 1, 2, 3}));
  EXPECT_TRUE(through.HoldsIteration(1, 2));
  EXPECT_FALSE(through.HoldsIteration(1, 3));
}

TEST(PackingTest, AnEpochEndsWithItsLastRow) {
  const BatchSampler order(PackedConfig());
  EXPECT_EQ(order.EpochsEnded(0), 0);
  EXPECT_EQ(order.EpochsEnded(order.total_steps() - 1), 2);
  EXPECT_EQ(order.EpochsEnded(order.total_steps()), 3);
  for (int64_t step = 1; step <= order.total_steps(); ++step)
    EXPECT_EQ(order.EpochsEnded(step), order.SamplesSeen(step) / 1000) << step;
}

}  // namespace
}  // namespace ft::data
