#include "kernels/adamw/adamw.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/number/multiply_adds_fixture.h"

namespace ft::kernels {
namespace {

struct Weights {
  explicit Weights(int64_t count) {
    std::mt19937 random(static_cast<uint32_t>(count));
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < count; ++i) {
      values.push_back(normal(random));
      gradients.push_back(std::ldexp(normal(random), -static_cast<int>(random() % 12)));
      first.push_back(0.1f * normal(random));
      second.push_back(std::fabs(0.01f * normal(random)));
    }
  }
  AdamWArrays arrays() { return {values.data(), gradients.data(), first.data(), second.data()}; }
  bool operator==(const Weights&) const = default;

  std::vector<float> values, gradients, first, second;
};

// As the header says it. `last` of those that are not whole eights.
void UpdateOne(const AdamWStep& step, const AdamWArrays& at, int64_t i, bool last) {
  const double t = static_cast<double>(step.steps);
  const auto rest1 = static_cast<float>(1 - step.beta1), rest2 = static_cast<float>(1 - step.beta2);
  const auto beta2 = static_cast<float>(step.beta2), eps = static_cast<float>(step.eps);
  const auto decay = static_cast<float>(std::fma(-step.lr, step.weight_decay, 1.0));
  const auto rate = static_cast<float>(step.lr / (1 - std::pow(step.beta1, t)));
  const auto root = static_cast<float>(std::sqrt(1 - std::pow(step.beta2, t)));
  const float g = at.gradients[i], away = g - at.first[i];
  at.first[i] = rest1 < 0.5f ? std::fma(rest1, away, at.first[i]) : std::fma(rest1 - 1, away, g);
  const volatile float part = rest2 * g, square = part * g, kept = at.second[i] * beta2;  // Rounded.
  at.second[i] = last ? std::fma(beta2, at.second[i], square) : std::fma(part, g, kept);
  const volatile float value = at.values[i] * decay, push = at.first[i] * -rate;
  at.values[i] = value + push / (std::sqrt(at.second[i]) / root + eps);
}

const AdamWStep kStep{.lr = 1e-3, .weight_decay = 0.1, .steps = 7};

TEST(AdamW, EqualsItsDefinition) {
  if (!FusesMultiplyAdds()) GTEST_SKIP() << "this CPU rounds each product";
  const AdamWStep few_betas{.lr = 0.1, .beta1 = 0.3, .beta2 = 0.6, .eps = 1e-3, .steps = 1};
  for (const AdamWStep& step : {kStep, few_betas}) {
    for (const int64_t count : {1, 7, 8, 9, 31, 32, 33, 40, 71, 1000, 1003}) {
      Weights weights(count), expected(count);
      AdamW(step, weights.arrays(), 0, count);
      for (int64_t i = 0; i < count; ++i) UpdateOne(step, expected.arrays(), i, i >= count - count % 8);
      EXPECT_EQ(weights, expected) << count << " weights, beta1 " << step.beta1;
    }
  }
}

TEST(AdamW, DividedAtUnitsItHasTheSameBits) {
  const int64_t count = 1003;
  Weights whole(count), divided(count);
  AdamW(kStep, whole.arrays(), 0, count);
  const std::vector<int64_t> cuts = {0, kAdamWUnit, 5 * kAdamWUnit, 40 * kAdamWUnit, count};
  for (size_t i = 1; i < cuts.size(); ++i) AdamW(kStep, divided.arrays(), cuts[i - 1], cuts[i]);
  EXPECT_EQ(divided, whole);
}

}  // namespace
}  // namespace ft::kernels
