#include "kernels/dynamic_map/dynamic_map.h"

#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"

namespace ft::kernels {
namespace {

TEST(DynamicMap, TheSignedOneIsSortedAndSpansMinusOneToOne) {
  const float* map = DynamicMapSigned();
  EXPECT_TRUE(std::is_sorted(map, map + 256));
  EXPECT_EQ(map[127], 0);
  EXPECT_EQ(map[255], 1);
  EXPECT_LT(map[0], -0.99f);
}

TEST(DynamicMap, TheUnsignedOneIsSortedAndSpansZeroToOne) {
  const float* map = DynamicMapUnsigned();
  EXPECT_TRUE(std::is_sorted(map, map + 256));
  EXPECT_EQ(map[0], 0);
  EXPECT_FLOAT_EQ(map[1], 0.325e-6f);
  EXPECT_EQ(map[255], 1);
  EXPECT_EQ(std::adjacent_find(map, map + 256), map + 256);  // No value twice.
}

TEST(DynamicMap, EveryValueGoesToTheNearest) {
  for (const float* map : {DynamicMapSigned(), DynamicMapUnsigned()}) {
    const auto expect_nearest = [&](float value) {
      const uint8_t index = NearestInMap(map, value);
      for (int other = 0; other < 256; ++other) {
        const double chosen = std::fabs(double{value} - map[index]),
                     there = std::fabs(double{value} - map[other]);
        ASSERT_TRUE(chosen < there || (chosen == there && index <= other)) << value;
      }
    };
    for (int i = -300; i <= 300; ++i) expect_nearest(static_cast<float>(i) / 256);
    for (int i = 0; i + 1 < 256; ++i) expect_nearest((map[i] + map[i + 1]) / 2);
    for (int i = 0; i < 256; ++i) EXPECT_EQ(NearestInMap(map, map[i]), i);
  }
}

}  // namespace
}  // namespace ft::kernels
