#include "kernels/squares/squares.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/squares/squares_grid.h"

namespace ft::kernels {
namespace {

std::vector<float> Random(int64_t count) {
  std::mt19937 random(static_cast<uint32_t>(count));
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<float> Sums(const std::vector<float>& values) {
  const auto count = static_cast<int64_t>(values.size());
  std::vector<float> sums(static_cast<size_t>(SquaresBlocks(count)));
  SumsOfSquares(values.data(), count, 0, SquaresBlocks(count), sums.data());
  return sums;
}

class Squares : public ::testing::TestWithParam<int64_t> {};

TEST_P(Squares, AreThoseOfFloat64) {
  const std::vector<float> values = Random(GetParam()), sums = Sums(values);
  for (size_t block = 0; block < sums.size(); ++block) {
    double expected = 0;
    for (size_t i = 256 * block; i < std::min<size_t>(256 * (block + 1), values.size()); ++i)
      expected += static_cast<double>(values[i]) * values[i];
    EXPECT_NEAR(sums[block], expected, 1e-5 * expected);
  }
}

TEST_P(Squares, ZerosBehindTheValuesChangeNoBit) {
  std::vector<float> values = Random(GetParam());
  const std::vector<float> sums = Sums(values);
  values.resize(static_cast<size_t>(SquaresBlocks(GetParam()) * kSquaresBlock));
  EXPECT_EQ(Sums(values), sums);
}

TEST_P(Squares, TheBodyGivesTheSameBits) {
  const std::vector<float> values = Random(GetParam());
  std::vector<float> sums(static_cast<size_t>(SquaresBlocks(GetParam())), -1);
  Emulate(SumsOfSquaresBody{values.data(), GetParam(), sums.data()});
  EXPECT_EQ(sums, Sums(values));
}

INSTANTIATE_TEST_SUITE_P(Odd, Squares, ::testing::Values(1, 15, 16, 17, 255, 256, 257, 4096, 5000, 70001));

TEST(Squares, NotANumberStays) {
  std::vector<float> values = Random(600);
  values[300] = std::nanf("");
  const std::vector<float> sums = Sums(values);
  EXPECT_TRUE(std::isfinite(sums[0]));
  EXPECT_TRUE(std::isnan(sums[1]));
}

}  // namespace
}  // namespace ft::kernels
