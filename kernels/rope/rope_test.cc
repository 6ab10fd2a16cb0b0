#include "kernels/rope/rope.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/rope/rope_grid.h"

namespace ft::kernels {
namespace {

// Row i has position i.
std::vector<int32_t> InOrder(int64_t rows) {
  std::vector<int32_t> positions(static_cast<size_t>(rows));
  std::iota(positions.begin(), positions.end(), 0);
  return positions;
}

TEST(Rope, RotatesPairsByTheAngleAndBackAgain) {
  const RopeShape shape{10};
  constexpr int64_t kRows = 4;
  const std::vector<int32_t> position = InOrder(kRows);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(kRows * 30), y(x.size()), back(x.size()), cosine(kRows * 5), sine(kRows * 5);
  for (float& value : x) value = normal(random);
  for (int64_t i = 0; i < kRows * 5; ++i) {
    cosine[i] = std::cos(0.37f * i);
    sine[i] = std::sin(0.37f * i);
  }
  RopeAngles angles{cosine.data(), sine.data(), position.data(), 1};
  Rope<float>(shape, angles, {3, x.data(), y.data()}, 0, kRows);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t head = 0; head < 3; ++head) {
      for (int64_t i = 0; i < 5; ++i) {
        const int64_t at = (row * 3 + head) * 10 + i;
        const double angle = 0.37 * (row * 5 + i);
        EXPECT_NEAR(y[at], x[at] * std::cos(angle) - x[at + 5] * std::sin(angle), 1e-5);
        EXPECT_NEAR(y[at + 5], x[at + 5] * std::cos(angle) + x[at] * std::sin(angle), 1e-5);
      }
    }
  }
  angles.direction = -1;
  Rope<float>(shape, angles, {3, y.data(), back.data()}, 0, kRows);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 1e-6);
}

TEST(Rope, ArrayFunctionAndGridBodyEqualTheDefinitionBitForBit) {
  for (const int64_t head_size : {2, 10, 32, 34, 96}) {
    const RopeShape shape{head_size};
    constexpr int64_t kRows = 5;
    const std::vector<int32_t> position = InOrder(kRows);
    const int64_t half = head_size / 2;
    std::mt19937 random(static_cast<uint32_t>(head_size));
    std::normal_distribution<float> normal;
    std::vector<float> x(kRows * 3 * head_size), y(x.size()), grid(x.size()), cosine(kRows * half),
        sine(kRows * half);
    for (std::vector<float>* values : {&x, &cosine, &sine}) {
      for (float& value : *values) value = normal(random);
    }
    const RopeAngles angles{cosine.data(), sine.data(), position.data(), -1};
    Rope<float>(shape, angles, {3, x.data(), y.data()}, 0, kRows);
    Emulate(RopeBody<float>{shape, angles, kRows, {3, x.data(), grid.data()}, {}});
    EXPECT_EQ(y, grid) << head_size;
    for (int64_t head = 0; head < kRows * 3; ++head) {
      for (int64_t i = 0; i < half; ++i) {
        const int64_t at = head * head_size + i, angle = head / 3 * half + i;
        const RopePair rotated = RotatePair({x[at], x[at + half]}, cosine[angle], -sine[angle]);
        ASSERT_EQ(y[at], rotated.first);
        ASSERT_EQ(y[at + half], rotated.second);
      }
    }
  }
}

TEST(Rope, PartsOfAHeadAndNeighboursTurnAndTheRestStays) {
  for (const RopeShape& shape : {RopeShape{10, 6, false}, RopeShape{10, 6, true}, RopeShape{8, 0, true}}) {
    constexpr int64_t kRows = 4, heads = 3;
    const std::vector<int32_t> position = InOrder(kRows);
    const int64_t pairs = shape.Pairs(), size = shape.head_size;
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> x(kRows * heads * size), y(x.size()), grid(x.size()), cosine(kRows * pairs),
        sine(kRows * pairs);
    for (std::vector<float>* values : {&x, &cosine, &sine}) {
      for (float& value : *values) value = normal(random);
    }
    const RopeAngles angles{cosine.data(), sine.data(), position.data(), -1};
    Rope<float>(shape, angles, {heads, x.data(), y.data()}, 0, kRows);
    Emulate(RopeBody<float>{shape, angles, kRows, {heads, x.data(), grid.data()}, {}});
    EXPECT_EQ(y, grid);
    for (int64_t head = 0; head < kRows * heads; ++head) {
      const float* in = x.data() + head * size;
      const float* out = y.data() + head * size;
      for (int64_t i = 0; i < pairs; ++i) {
        const int64_t first = shape.neighbours ? 2 * i : i, second = shape.neighbours ? 2 * i + 1 : i + pairs;
        const int64_t angle = head / heads * pairs + i;
        const RopePair rotated = RotatePair({in[first], in[second]}, cosine[angle], -sine[angle]);
        ASSERT_EQ(out[first], rotated.first);
        ASSERT_EQ(out[second], rotated.second);
      }
      for (int64_t i = 2 * pairs; i < size; ++i) ASSERT_EQ(out[i], in[i]);
    }
  }
}

// Queries and keys as columns of one matrix, as a product of both leaves them.
TEST(Rope, RowsAtADistanceTurnAsDenseOnes) {
  for (const RopeShape& shape : {RopeShape{10, 6, false}, RopeShape{8, 0, true}, RopeShape{34}}) {
    constexpr int64_t kRows = 4, kQueries = 3, kKeys = 2;
    const std::vector<int32_t> position = InOrder(kRows);
    std::mt19937 random(4);
    std::normal_distribution<float> normal;
    const int64_t q_width = kQueries * shape.head_size, k_width = kKeys * shape.head_size;
    const int64_t stride = q_width + k_width + 3;
    std::vector<float> joined(kRows * stride), q(kRows * q_width), k(kRows * k_width),
        cosine(kRows * shape.Pairs()), sine(cosine.size());
    for (std::vector<float>* values : {&joined, &cosine, &sine}) {
      for (float& value : *values) value = normal(random);
    }
    for (int64_t row = 0; row < kRows; ++row) {
      std::copy_n(joined.data() + row * stride, q_width, q.data() + row * q_width);
      std::copy_n(joined.data() + row * stride + q_width, k_width, k.data() + row * k_width);
    }
    const RopeAngles angles{cosine.data(), sine.data(), position.data(), 1};
    std::vector<float> dense_q(q.size()), dense_k(k.size()), apart_q(q.size()), apart_k(k.size()),
        grid_q(q.size()), grid_k(k.size());
    Rope<float>(shape, angles, {kQueries, q.data(), dense_q.data()}, 0, kRows);
    Rope<float>(shape, angles, {kKeys, k.data(), dense_k.data()}, 0, kRows);
    Rope<float>(shape, angles, {kQueries, joined.data(), apart_q.data(), stride}, 0, kRows);
    Rope<float>(shape, angles, {kKeys, joined.data() + q_width, apart_k.data(), stride}, 0, kRows);
    Emulate(RopeBody<float>{shape,
                            angles,
                            kRows,
                            {kQueries, joined.data(), grid_q.data(), stride},
                            {kKeys, joined.data() + q_width, grid_k.data(), stride}});
    EXPECT_EQ(apart_q, dense_q) << shape.head_size;
    EXPECT_EQ(apart_k, dense_k) << shape.head_size;
    EXPECT_EQ(grid_q, dense_q) << shape.head_size;
    EXPECT_EQ(grid_k, dense_k) << shape.head_size;
  }
}

// Rows of several texts: positions come back and leave some out. Queries and keys of one launch equal those of two calls.
template <typename T>
void ExpectQueriesAndKeysOfOneLaunch(const RopeShape& shape, int64_t query_heads, int64_t key_heads) {
  const std::vector<int32_t> position = {0, 1, 2, 0, 1, 6, 3};
  const auto rows = static_cast<int64_t>(position.size());
  constexpr int64_t kPositions = 7;
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> cosine(static_cast<size_t>(kPositions * shape.Pairs())), sine(cosine.size());
  for (std::vector<float>* values : {&cosine, &sine}) {
    for (float& value : *values) value = normal(random);
  }
  const auto heads_of = [&](int64_t heads) {
    std::vector<T> values(static_cast<size_t>(rows * heads * shape.head_size));
    for (T& value : values) value = FromFloat<T>(normal(random));
    return values;
  };
  const std::vector<T> q = heads_of(query_heads), k = heads_of(key_heads);
  std::vector<T> apart_q(q.size()), apart_k(k.size()), grid_q(q.size()), grid_k = k;
  const RopeAngles angles{cosine.data(), sine.data(), position.data(), 1};
  Rope<T>(shape, angles, {query_heads, q.data(), apart_q.data()}, 0, rows);
  Rope<T>(shape, angles, {key_heads, k.data(), apart_k.data()}, 0, rows);
  Emulate(RopeBody<T>{shape,
                      angles,
                      rows,
                      {query_heads, q.data(), grid_q.data()},
                      {key_heads, grid_k.data(), grid_k.data()}});  // Where they lie.
  EXPECT_EQ(std::memcmp(grid_q.data(), apart_q.data(), q.size() * sizeof(T)), 0) << query_heads;
  EXPECT_EQ(std::memcmp(grid_k.data(), apart_k.data(), k.size() * sizeof(T)), 0) << key_heads;
  // Row 5 has position 6.
  const int64_t row = 5, first = row * query_heads * shape.head_size;
  const RopePair rotated = RotatePair(
      {ToFloat(q[static_cast<size_t>(first + shape.First(0))]),
       ToFloat(q[static_cast<size_t>(first + shape.First(0) + shape.Apart())])},
      cosine[static_cast<size_t>(6 * shape.Pairs())], sine[static_cast<size_t>(6 * shape.Pairs())]);
  EXPECT_EQ(ToFloat(apart_q[static_cast<size_t>(first + shape.First(0))]),
            ToFloat(FromFloat<T>(rotated.first)));
}

TEST(Rope, QueriesAndKeysOfUnlikeNumberTurnInOneLaunchByTheirRowsPositions) {
  for (const RopeShape& shape : {RopeShape{8}, RopeShape{10, 6, false}, RopeShape{10, 6, true}}) {
    for (const auto& [query_heads, key_heads] : {std::pair<int64_t, int64_t>{4, 2}, {6, 1}, {1, 3}, {2, 2}}) {
      ExpectQueriesAndKeysOfOneLaunch<float>(shape, query_heads, key_heads);
      ExpectQueriesAndKeysOfOneLaunch<BF16>(shape, query_heads, key_heads);
    }
  }
}

}  // namespace
}  // namespace ft::kernels
