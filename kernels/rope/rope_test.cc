#include "kernels/rope/rope.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace ft::kernels {
namespace {

TEST(Rope, TurnsPairsByTheAngleAndBackAgain) {
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

}  // namespace
}  // namespace ft::kernels
