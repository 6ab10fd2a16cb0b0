#include "kernels/tree_add/tree_add.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/tree_add/tree_add_grid.h"

namespace ft::kernels {
namespace {

constexpr int64_t kColumns = 300;  // More than a block of threads, and no multiple of it.

// Values whose sums depend on the order of additions.
std::vector<float> Rows(int count) {
  std::mt19937 random(static_cast<uint32_t>(count));
  std::normal_distribution<float> normal;
  std::vector<float> rows(static_cast<size_t>(count * kColumns));
  for (float& value : rows) value = std::ldexp(normal(random), static_cast<int>(random() % 30));
  return rows;
}

// The definition, as it is said: the largest power of two below the count goes left.
float Tree(const std::vector<float>& values) {
  if (values.size() == 1) return values[0];
  size_t left = 1;
  while (2 * left < values.size()) left *= 2;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(left);
  return Tree({values.begin(), middle}) + Tree({middle, values.end()});
}

class TreeAddition : public ::testing::TestWithParam<int> {};

TEST_P(TreeAddition, HasTheBitsOfTheTree) {
  const std::vector<float> rows = Rows(GetParam());
  std::vector<float> sum(kColumns);
  TreeAdd(rows.data(), GetParam(), kColumns, 0, kColumns, sum.data());
  for (size_t i = 0; i < kColumns; ++i) {
    std::vector<float> values;
    for (size_t k = 0; k < static_cast<size_t>(GetParam()); ++k) values.push_back(rows[k * kColumns + i]);
    EXPECT_EQ(sum[i], Tree(values)) << i;
  }
}

TEST_P(TreeAddition, TheBodyGivesTheSameBitsAlsoInPlace) {
  std::vector<float> rows = Rows(GetParam()), sum(kColumns);
  TreeAdd(rows.data(), GetParam(), kColumns, 0, kColumns, sum.data());
  float* last = rows.data() + (GetParam() - 1) * kColumns;
  Emulate(TreeAddBody{rows.data(), GetParam(), kColumns, last});
  EXPECT_EQ(std::memcmp(last, sum.data(), kColumns * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(Odd, TreeAddition,
                         ::testing::Values(1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 64, 255, kTreeAddMost));

}  // namespace
}  // namespace ft::kernels
