#include "core/plan/weight_rest.h"

#include <gtest/gtest.h>

#include <vector>

namespace ft::plan {
namespace {

TEST(WeightRestTest, ATierTakesWholePieces) {
  EXPECT_EQ(OnTier(0), 0);
  EXPECT_EQ(OnTier(1), kTileAlignment);
  EXPECT_EQ(OnTier(kTileAlignment), kTileAlignment);
  EXPECT_EQ(OnTier(kTileAlignment + 1), 2 * kTileAlignment);
}

TEST(WeightRestTest, AFrozenBaseRestsWholeOnEachRankBelowStageThree) {
  const SliceTable table = SliceTable::Of({{"a", {50, 100}, 1}});
  const std::vector<int64_t> frozen = {5000, 0, 4096};
  for (const int ranks : {1, 2}) {
    EXPECT_EQ(WeightsOnTier(table, {.slices = 2, .states_sliced = true},
                            {.who = {0, ranks}, .frozen_bytes = frozen}),
              8192 + 4096);
  }
}

TEST(WeightRestTest, WhereUnitsAreDividedEachRankHasItsSlicesAndTheValuesOfItsShare) {
  const SliceTable table = SliceTable::Of({{"a", {8, 1024}, 1}});  // 32 KiB of values.
  const recipe::Sharding sharding{.slices = 4, .states_sliced = true, .weights_sliced = true};
  const std::vector<int64_t> frozen = {64 << 10, 128};
  const auto on_tier = [&](RankOf who) {
    return WeightsOnTier(table, sharding, {.who = who, .trained = true, .frozen_bytes = frozen});
  };
  EXPECT_EQ(on_tier({0, 1}), (64 << 10) + 4096 + (32 << 10));
  // 128 bytes are two granules: of four ranks two have one.
  EXPECT_EQ(on_tier({0, 2}), (32 << 10) + 4096 + (16 << 10));
  EXPECT_EQ(on_tier({1, 2}), (32 << 10) + 4096 + (16 << 10));
  EXPECT_EQ(on_tier({0, 4}), (16 << 10) + 0 + (8 << 10));
  EXPECT_EQ(on_tier({1, 4}), (16 << 10) + 4096 + (8 << 10));
}

TEST(WeightRestTest, WhereValuesAloneRestAnUpdateMovesThemBothWaysAndADigestReadsThemAgain) {
  // 8,192 weights, and 300 that are 512 with padding.
  const SliceTable table = SliceTable::Of({{"a", {8, 1024}, 1}, {"b", {300}, 1}});
  const recipe::Sharding sharding{.slices = 2, .states_sliced = true};
  EXPECT_EQ(ValuesOnTier(table, sharding, {0, 1}, /*digested=*/false),
            (TierBytes{.held = OnTier(8704 * 4), .read = 8704 * 4, .written = 8704 * 4}));
  EXPECT_EQ(ValuesOnTier(table, sharding, {0, 1}, /*digested=*/true).read, (8704 + 8492) * 4);
  const TierBytes first = ValuesOnTier(table, sharding, {0, 2}, true),
                  second = ValuesOnTier(table, sharding, {1, 2}, true);
  EXPECT_EQ(first.read, 2 * first.written);  // The padding is the other's.
  EXPECT_EQ(first.read + second.read, (8704 + 8492) * 4);
  EXPECT_EQ(first.written + second.written, 8704 * 4);
}

}  // namespace
}  // namespace ft::plan
