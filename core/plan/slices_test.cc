#include "core/plan/slices.h"

#include <gtest/gtest.h>

#include <map>

#include "core/plan/llama_7b_fixture.h"
#include "core/plan/llama_tensors_fixture.h"

namespace ft::plan {
namespace {

SliceTable Full(const ModelShape& shape) { return SliceTable::Of(FullTensors(shape)); }

TEST(SlicesTest, SlicesTileUnitsAndBeginAtGranulesOfTensors) {
  for (const ModelShape& shape : {kLlama7B, kLlama70B}) {
    const SliceTable table = Full(shape);
    std::map<int64_t, const TensorRange*> by_begin;
    for (const TensorRange& range : table.ranges()) by_begin[range.begin] = &range;
    const Slices slices(table, 64);
    ASSERT_EQ(slices.units(), shape.layers + 2);
    for (int unit = 0; unit < slices.units(); ++unit) {
      int64_t at = table.Unit(unit).begin;
      for (int slice = 0; slice < 64; ++slice) {
        const Extent extent = slices.Slice(unit, slice);
        ASSERT_EQ(extent.begin, at);
        const TensorRange& tensor = *std::prev(by_begin.upper_bound(at))->second;
        EXPECT_EQ((at - tensor.begin) % kSliceGranule, 0);
        EXPECT_LT(at, tensor.begin + tensor.elements);
        at = extent.end;
      }
      EXPECT_EQ(at, table.Unit(unit).end);
    }
  }
}

TEST(SlicesTest, SlicesOfLargeUnitsDifferByAGranuleAtMost) {
  const SliceTable table = Full(kLlama7B);
  const Slices slices(table, 8);
  const int64_t block = 202'383'360;  // Weights of a block of Llama 2 7B.
  ASSERT_EQ(table.Unit(1).end - table.Unit(1).begin, block);
  for (int slice = 0; slice < 8; ++slice) {
    const Extent extent = slices.Slice(1, slice);
    EXPECT_NEAR(static_cast<double>(extent.end - extent.begin), static_cast<double>(block) / 8,
                kSliceGranule);
  }
}

TEST(SlicesTest, AnotherNumberOfRanksMovesNoCut) {
  const Slices slices(Full(kLlama7B), 8);
  for (const int ranks : {1, 2, 4, 8}) {
    for (int unit = 0; unit < slices.units(); ++unit) {
      for (int rank = 0; rank < ranks; ++rank) {
        const Extent owned = slices.Owned(unit, {rank, ranks});
        EXPECT_EQ(owned.begin, slices.Slice(unit, rank * 8 / ranks).begin);
        EXPECT_EQ(owned.end, slices.Slice(unit, (rank + 1) * 8 / ranks - 1).end);
      }
    }
  }
}

TEST(SlicesTest, SmallUnitsHaveEmptySlices) {
  const SliceTable table = SliceTable::Of({{"a", {3, 100}, 0}, {"b", {10}, 2}});
  const Slices slices(table, 64);
  EXPECT_EQ(slices.Counts(1, 64), std::vector<size_t>(64, 0));  // Trains nothing.
  size_t elements = 0, empty = 0;
  for (const int unit : {0, 2}) {
    for (const size_t count : slices.Counts(unit, 64)) {
      elements += count;
      empty += count == 0;
    }
  }
  EXPECT_EQ(elements, 512u + 256u);
  EXPECT_EQ(empty, 126u);
}

TEST(ShareTest, SharesOfRanksAreTheWholeWithoutOverlap) {
  const SliceTable table = Full(kLlama70B);
  const Slices slices(table, 8);
  for (const int ranks : {1, 2, 8}) {
    int64_t elements = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const Share share = Share::Of(slices, {rank, ranks});
      int64_t begin = 0;
      for (const Share::Part& part : share.parts()) {
        EXPECT_EQ(part.begin, begin);
        EXPECT_LE(part.begin, part.whole.begin);
        begin += part.whole.end - part.whole.begin;
      }
      EXPECT_EQ(begin, share.elements());
      elements += share.elements();
    }
    EXPECT_EQ(elements, table.elements());
  }
  ASSERT_EQ(Share::Of(slices, {0, 1}).parts().size(), 1u);  // Units of one owner are one part.
  EXPECT_EQ(Share::Of(slices, {0, 1}).elements(), Share::Whole(table.elements()).elements());
  EXPECT_TRUE(Share::Whole(0).parts().empty());
}

TEST(OwnersTest, EveryGranuleAndBlockHasOneOwner) {
  const SliceTable table = SliceTable::Of({{"a", {5000}, 0}, {"b", {2048}, 1}, {"c", {10}, 1}});
  const Slices slices(table, 4);
  for (const int ranks : {1, 2, 4}) {
    int64_t granules = 0, blocks = 0;
    std::vector<int64_t> blocks_of(static_cast<size_t>(ranks));
    for (const OwnedRun& run : GranuleOwners(table, slices, ranks)) granules += run.items;
    for (const OwnedRun& run : BlockOwners(slices, 256, ranks)) {
      blocks += run.items;
      blocks_of[static_cast<size_t>(run.owner)] += run.items;
    }
    EXPECT_EQ(granules, 5 + 2 + 1);
    EXPECT_EQ(blocks * 256, table.elements());
    for (int rank = 0; rank < ranks; ++rank) {
      EXPECT_EQ(blocks_of[static_cast<size_t>(rank)] * 256, Share::Of(slices, {rank, ranks}).elements());
    }
  }
  // "a": cut behind 1, 2 and 3 of its 5 granules.
  const std::vector<OwnedRun> owners = GranuleOwners(table, slices, 4);
  ASSERT_GE(owners.size(), 4u);
  EXPECT_EQ(owners[0].items, 1);
  EXPECT_EQ(owners[3].owner, 3);
}

}  // namespace
}  // namespace ft::plan
