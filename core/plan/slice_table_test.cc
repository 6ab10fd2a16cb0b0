#include "core/plan/slice_table.h"

#include <gtest/gtest.h>

namespace ft::plan {
namespace {

TEST(SliceTableTest, TensorsLieByUnitAndAreNumberedByName) {
  const SliceTable table = SliceTable::Of({{"c", {3, 100}, 0}, {"b", {256}, 2}, {"a", {1}, 2}});
  ASSERT_EQ(table.ranges().size(), 3u);
  EXPECT_EQ(table.ranges()[0].tensor.name, "a");
  EXPECT_EQ(table.ranges()[0].begin, 512);  // Behind unit 0, whose 300 elements fill two granules.
  EXPECT_EQ(table.ranges()[0].elements, 1);
  EXPECT_EQ(table.ranges()[1].begin, 768);
  EXPECT_EQ(table.ranges()[2].begin, 0);
  EXPECT_EQ(table.elements(), 1024);
}

TEST(SliceTableTest, UnitsTileTheWhole) {
  const SliceTable table = SliceTable::Of({{"c", {3, 100}, 0}, {"b", {256}, 2}, {"a", {1}, 2}});
  int64_t end = 0;
  for (int unit = 0; unit < 5; ++unit) {
    EXPECT_EQ(table.Unit(unit).begin, end) << unit;
    end = table.Unit(unit).end;
    EXPECT_EQ(end % kGranule, 0);
  }
  EXPECT_EQ(table.Unit(1).begin, table.Unit(1).end);  // It trains nothing.
  EXPECT_EQ(end, table.elements());
}

TEST(SliceTableTest, NothingTrainedIsEmpty) {
  EXPECT_EQ(SliceTable::Of({}).elements(), 0);
  EXPECT_EQ(SliceTable::Of({}).Unit(0).end, 0);
}

}  // namespace
}  // namespace ft::plan
