#include "core/plan/state_tiles.h"

#include <gtest/gtest.h>

namespace ft::plan {
namespace {

SliceTable Table() {
  return SliceTable::Of({{"c", {50, 100}, 0}, {"a", {7}, 1}, {"b", {30, 200}, 1}, {"d", {4095}, 2}});
}

// Whatever the cut, each array's items lie in the tiles once, in their order.
TEST(StateTilesTest, TilesHaveEveryItemOnce) {
  const SliceTable table = Table();
  for (const char* kind : {"adamw", "adamw_8bit"}) {
    const std::span<const StateArray> arrays = StateArraysOf(kind);
    for (const int ranks : {1, 2, 4}) {
      for (const int64_t weights : {kGranule, 5 * kGranule, kTileWeights}) {
        for (int rank = 0; rank < ranks; ++rank) {
          const Share share = Share::Of(Slices(table, 4), {rank, ranks});
          const StateTiles cut = StateTiles::Of(table, share, arrays, weights);
          std::vector<int64_t> next(arrays.size());
          int64_t at = 0, weight = 0;
          for (const StateTiles::Tile& tile : cut.tiles()) {
            EXPECT_EQ(tile.begin, at);
            EXPECT_EQ(tile.weights.begin, weight);
            EXPECT_EQ(tile.bytes % kTileAlignment, 0);
            int64_t end = 0;  // Of what lies in the tile so far.
            for (size_t a = 0; a < arrays.size(); ++a) {
              const StateTiles::Items& items = tile.items[a];
              if (items.count > 0) {
                EXPECT_EQ(items.begin, next[a]) << kind << arrays[a].name;
              }
              EXPECT_GE(items.at, end);
              EXPECT_EQ(items.at % BytesOf(arrays[a].type), 0);
              end = items.at + items.count * BytesOf(arrays[a].type);
              next[a] += items.count;
            }
            EXPECT_LE(end, tile.bytes);
            at += tile.bytes;
            weight = tile.weights.end;
          }
          EXPECT_EQ(weight, share.elements());
          EXPECT_EQ(cut.bytes(), at);
          for (size_t a = 0; a < arrays.size(); ++a)
            EXPECT_EQ(next[a], ArrayLayout::Of(table, share, arrays[a]).items()) << kind << arrays[a].name;
        }
      }
    }
  }
}

TEST(StateTilesTest, AdamwMovesEightBytesAWeightEachWay) {
  const SliceTable table = SliceTable::Of({{"w", {4096, 4096}, 0}});
  const int64_t weights = 4096 * 4096;
  for (const int ranks : {1, 4}) {
    const recipe::Sharding sharding{.slices = 4, .states_sliced = true};
    const StateTiles cut = StateTiles::OfRank(table, sharding, {0, ranks}, StateArraysOf("adamw"));
    const int64_t bytes = 8 * weights / ranks;
    EXPECT_EQ(cut.AfterSteps(3), (TierBytes{bytes, 3 * bytes, 3 * bytes}));
    EXPECT_EQ(cut.largest(), 4 << 20);
  }
}

// A tile is at least a MiB where there is so much: what disks and system calls cost least at.
TEST(StateTilesTest, EightBitTilesAreNotSmallEither) {
  const SliceTable table = SliceTable::Of({{"w", {4096, 4096}, 0}});
  const StateTiles cut = StateTiles::Of(table, Share::Whole(table.elements()), StateArraysOf("adamw_8bit"));
  EXPECT_EQ(cut.tiles().size(), 32u);
  for (const StateTiles::Tile& tile : cut.tiles()) EXPECT_GE(tile.bytes, 1 << 20);
}

TEST(StateTilesTest, WhatKeepsNothingHasNoTiles) {
  const SliceTable table = Table();
  EXPECT_TRUE(StateTiles::Of(table, Share::Whole(table.elements()), StateArraysOf("sgd")).tiles().empty());
  EXPECT_EQ(StateTiles::Of(table, Share::Whole(0), StateArraysOf("adamw")).bytes(), 0);
}

}  // namespace
}  // namespace ft::plan
