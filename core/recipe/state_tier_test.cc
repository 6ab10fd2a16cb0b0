#include "core/recipe/state_tier.h"

#include <gtest/gtest.h>

namespace ft::recipe {
namespace {

TEST(StateTierTest, AJobNamesIt) {
  JobSpec spec;
  EXPECT_EQ(StateTierOf(spec), StateTier::kWithWeights);
  spec.train.optimizer.kind = "paged_adamw";
  EXPECT_EQ(StateTierOf(spec), StateTier::kNextWhereShort);
  spec.parallel.offload.optimizer = "disk";
  EXPECT_EQ(StateTierOf(spec), StateTier::kDisk);
  spec.parallel.offload.optimizer = "cpu";
  EXPECT_EQ(StateTierOf(spec), StateTier::kHost);
  EXPECT_EQ(WeightTierOf(spec), StateTier::kWithWeights);
  spec.parallel.offload.parameters = "cpu";
  EXPECT_EQ(WeightTierOf(spec), StateTier::kHost);
  spec.parallel.offload.parameters = "disk";
  EXPECT_EQ(WeightTierOf(spec), StateTier::kDisk);
  EXPECT_FALSE(TrainedWeightsRest(spec));
  spec.parallel.zero = 3;
  EXPECT_TRUE(TrainedWeightsRest(spec));
  spec.parallel.offload.parameters = "none";
  EXPECT_FALSE(TrainedWeightsRest(spec));
}

TEST(StateTierTest, ValuesRestWithTheStateWhereRanksMayDivideThemAndUnitsStay) {
  JobSpec spec;
  const auto rest = [&](int zero, const char* tier, int max_ranks) {
    spec.parallel = {.ranks = 1, .max_ranks = max_ranks, .zero = zero, .offload = {.optimizer = tier}};
    return ValuesRestWithState(spec);
  };
  for (const char* tier : {"cpu", "disk"}) {
    EXPECT_TRUE(rest(1, tier, 2));
    EXPECT_TRUE(rest(2, tier, 4));
    EXPECT_FALSE(rest(2, tier, 1));  // Equals stage 0.
    EXPECT_FALSE(rest(0, tier, 4));
    EXPECT_FALSE(rest(3, tier, 4));
  }
  EXPECT_FALSE(rest(2, "none", 4));
  spec.train.optimizer.kind = "paged_adamw";
  EXPECT_FALSE(rest(2, "none", 4));
  EXPECT_TRUE(rest(2, "disk", 4));
}

TEST(StateTierTest, TheHostsMemoryIsATierBesideADeviceOnly) {
  for (const bool is_short : {false, true}) {
    EXPECT_EQ(Settled(StateTier::kHost, /*on_cpu=*/true, is_short), StateTier::kWithWeights);
    EXPECT_EQ(Settled(StateTier::kHost, /*on_cpu=*/false, is_short), StateTier::kHost);
    EXPECT_EQ(Settled(StateTier::kDisk, true, is_short), StateTier::kDisk);
    EXPECT_EQ(Settled(StateTier::kDisk, false, is_short), StateTier::kDisk);
    EXPECT_EQ(Settled(StateTier::kWithWeights, false, is_short), StateTier::kWithWeights);
  }
}

TEST(StateTierTest, APagedOptimizersStateGoesToTheNextOneWhereRoomIsShort) {
  for (const bool on_cpu : {false, true}) {
    EXPECT_EQ(Settled(StateTier::kNextWhereShort, on_cpu, false), StateTier::kWithWeights);
    EXPECT_EQ(Settled(StateTier::kNextWhereShort, on_cpu, true),
              on_cpu ? StateTier::kDisk : StateTier::kHost);
  }
}

}  // namespace
}  // namespace ft::recipe
