#include "worker/model/weights/mxfp4.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace ft::weights {
namespace {

// Every code once in each half, under one scale of 2^3 and one of 2^-2.
TEST(Mxfp4, ValuesAreThoseOfTheFormat) {
  std::vector<std::byte> blocks, scales = {std::byte{130}, std::byte{125}};
  for (int half = 0; half < 2; ++half) {
    for (unsigned i = 0; i < 16; ++i) blocks.push_back(static_cast<std::byte>(i | (15 - i) << 4));
  }
  std::vector<float> values(64);
  DequantiseMxfp4(blocks, scales, values);
  const float positive[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  for (unsigned i = 0; i < 16; ++i) {
    const auto value = [&](unsigned code) { return code < 8 ? positive[code] : -positive[code - 8]; };
    EXPECT_EQ(values[2 * i], 8 * value(i)) << i;
    EXPECT_EQ(values[2 * i + 1], 8 * value(15 - i)) << i;
    EXPECT_EQ(values[32 + 2 * i], value(i) / 4) << i;
  }
}

TEST(Mxfp4, TheSmallestScaleKeepsItsValue) {
  std::vector<std::byte> blocks(16, std::byte{0x11}), scales = {std::byte{0}};
  std::vector<float> values(32);
  DequantiseMxfp4(blocks, scales, values);
  EXPECT_EQ(values[7], std::ldexp(1.0f, -128));
}

}  // namespace
}  // namespace ft::weights
