#include "kernels/rope/rope.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/rope/rope_grid.h"

namespace ft::kernels {
namespace {

TEST(Rope, RotatesPairsByTheAngleAndBackAgain) {
  const RopeShape shape{3, 10};
  constexpr int64_t kRows = 4;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(kRows * 30), y(x.size()), back(x.size()), cosine(kRows * 5), sine(kRows * 5);
  for (float& value : x) value = normal(random);
  for (int64_t i = 0; i < kRows * 5; ++i) {
    cosine[i] = std::cos(0.37f * i);
    sine[i] = std::sin(0.37f * i);
  }
  Rope<float>(shape, 0, kRows, cosine.data(), sine.data(), 1, x.data(), y.data());
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
  Rope<float>(shape, 0, kRows, cosine.data(), sine.data(), -1, y.data(), back.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 1e-6);
}

TEST(Rope, ArrayFunctionAndGridBodyEqualTheDefinitionBitForBit) {
  for (const int64_t head_size : {2, 10, 32, 34, 96}) {
    const RopeShape shape{3, head_size};
    constexpr int64_t kRows = 5;
    const int64_t half = head_size / 2;
    std::mt19937 random(static_cast<uint32_t>(head_size));
    std::normal_distribution<float> normal;
    std::vector<float> x(kRows * 3 * head_size), y(x.size()), grid(x.size()), cosine(kRows * half),
        sine(kRows * half);
    for (std::vector<float>* values : {&x, &cosine, &sine}) {
      for (float& value : *values) value = normal(random);
    }
    Rope<float>(shape, 0, kRows, cosine.data(), sine.data(), -1, x.data(), y.data());
    Emulate(RopeBody<float>{shape, kRows, cosine.data(), sine.data(), -1, x.data(), grid.data()});
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
  for (const RopeShape& shape :
       {RopeShape{3, 10, 6, false}, RopeShape{3, 10, 6, true}, RopeShape{2, 8, 0, true}}) {
    constexpr int64_t kRows = 4;
    const int64_t pairs = shape.Pairs(), size = shape.head_size, heads = shape.heads;
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> x(kRows * heads * size), y(x.size()), grid(x.size()), cosine(kRows * pairs),
        sine(kRows * pairs);
    for (std::vector<float>* values : {&x, &cosine, &sine}) {
      for (float& value : *values) value = normal(random);
    }
    Rope<float>(shape, 0, kRows, cosine.data(), sine.data(), -1, x.data(), y.data());
    Emulate(RopeBody<float>{shape, kRows, cosine.data(), sine.data(), -1, x.data(), grid.data()});
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

}  // namespace
}  // namespace ft::kernels
