#include "core/plan/unit_copies.h"

#include <gmock/gmock.h>

namespace ft::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// Two matrices that are read in two bytes with a vector between them, and a unit of vectors alone.
SliceTable Table() {
  return SliceTable::Of(
      {{"a", {100, 100}, 0, 2}, {"b", {300}, 0, 4}, {"c", {50, 40}, 0, 2}, {"d", {10}, 1, 4}});
}

TEST(UnitCopiesTest, TensorsOfOneWidthLieEndToEndPaddingIncluded) {
  const SliceTable table = Table();
  const std::vector<CopyRun> runs = CopyRunsOf(table, 0);
  ASSERT_THAT(runs, SizeIs(2));
  EXPECT_EQ(runs[0].width(), 2);
  EXPECT_EQ(runs[0].elements(), 10240 + 2048);
  EXPECT_EQ(runs[0].tensors()[1].begin, 10240);
  EXPECT_EQ(runs[0].tensors()[1].whole.begin, 10240 + 512);
  EXPECT_EQ(runs[1].width(), 4);
  EXPECT_EQ(runs[1].elements(), 512);
  EXPECT_EQ(CopyBytes(table, 0), 2 * (10240 + 2048) + 4 * 512);
  EXPECT_EQ(CopyBytes(table), CopyBytes(table, 0) + CopyBytes(table, 1));
  EXPECT_THAT(CopyRunsOf(table, 1), SizeIs(1));
  EXPECT_THAT(CopyRunsOf(table, 2), SizeIs(0));
}

// Ranks in order have a run's elements in order, whatever their number: so what they send is the run.
TEST(UnitCopiesTest, RanksHaveTheRunInOrder) {
  const SliceTable table = Table();
  const Slices slices(table, 8);
  for (const int unit : {0, 1}) {
    for (const CopyRun& run : CopyRunsOf(table, unit)) {
      for (const int ranks : {1, 2, 4, 8}) {
        std::vector<int64_t> elements, expected;
        for (const CopyRun::Copied& copied : run.tensors()) {
          for (int64_t i = copied.whole.begin; i < copied.whole.end; ++i) expected.push_back(i);
        }
        const std::vector<size_t> counts = run.Counts(slices, ranks);
        for (int rank = 0; rank < ranks; ++rank) {
          const size_t before = elements.size();
          for (const Extent& part : run.Owned(slices, {rank, ranks})) {
            for (int64_t i = part.begin; i < part.end; ++i) elements.push_back(i);
          }
          EXPECT_EQ(elements.size() - before, counts[static_cast<size_t>(rank)]);
        }
        EXPECT_EQ(elements, expected) << ranks << " ranks";
      }
    }
  }
}

TEST(UnitCopiesTest, WhatOthersHaveIsTheRest) {
  const SliceTable table = Table();
  const Slices slices(table, 4);
  int64_t received = 0;
  for (int rank = 0; rank < 4; ++rank) received += CopyBytesOfOthers(table, slices, 0, {rank, 4});
  EXPECT_EQ(received, 3 * CopyBytes(table, 0));
  EXPECT_EQ(CopyBytesOfOthers(table, slices, 0, {0, 1}), 0);
}

TEST(UnitCopiesTest, NarrowIsBelowFourBytes) {
  EXPECT_TRUE(HasNarrowCopies(Table()));
  EXPECT_FALSE(HasNarrowCopies(SliceTable::Of({{"d", {10}, 1}})));
}

TEST(UnitCopiesTest, BytesAreCutAtGranulesAndTiled) {
  for (const int64_t bytes : {int64_t{0}, int64_t{10}, int64_t{64}, int64_t{1000}, int64_t{1} << 33}) {
    int64_t end = 0;
    for (int rank = 0; rank < 4; ++rank) {
      const Extent owned = OwnedBytes(bytes, 8, {rank, 4});
      EXPECT_EQ(owned.begin, end);
      EXPECT_EQ(owned.begin % kByteGranule, 0);
      end = owned.end;
    }
    EXPECT_EQ(end, bytes);
    EXPECT_EQ(OwnedBytes(bytes, 8, {0, 2}).end, OwnedBytes(bytes, 8, {1, 4}).end);  // Cuts are the slices'.
  }
  EXPECT_THAT((std::vector<int64_t>{OwnedBytes(1000, 4, {1, 4}).begin, OwnedBytes(1000, 4, {1, 4}).end}),
              ElementsAre(192, 448));
}

}  // namespace
}  // namespace ft::plan
