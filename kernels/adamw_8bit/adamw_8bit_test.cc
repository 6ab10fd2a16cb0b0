#include "kernels/adamw_8bit/adamw_8bit.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/adamw_8bit/adamw_8bit_grid.h"

namespace ft::kernels {
namespace {

// The numbers of step t with the usual settings.
AdamW8bitStep StepOf(int t) {
  const double lr = 2e-3, beta1 = 0.9, beta2 = 0.999, root = std::sqrt(1 - std::pow(beta2, t));
  return {.beta1 = static_cast<float>(beta1),
          .rest1 = static_cast<float>(1 - beta1),
          .beta2 = static_cast<float>(beta2),
          .rest2 = static_cast<float>(1 - beta2),
          .rate = static_cast<float>(lr * root / (1 - std::pow(beta1, t))),
          .eps = static_cast<float>(1e-8 * root),
          .decay = static_cast<float>(1 - lr * 0.01)};
}

struct Weights {
  explicit Weights(int64_t count)
      : values(count),
        gradients(count),
        first(count),
        second(count),
        first_absmax(AdamW8bitBlocks(count)),
        second_absmax(AdamW8bitBlocks(count)),
        random(static_cast<uint32_t>(count)) {
    for (float& value : values) value = normal(random);
  }
  AdamW8bitArrays NextGradients() {
    for (float& gradient : gradients) gradient = normal(random) * normal(random);
    return {values.data(),       gradients.data(),    static_cast<int64_t>(values.size()),
            first.data(),        first_absmax.data(), second.data(),
            second_absmax.data()};
  }
  bool operator==(const Weights& other) const {
    return values == other.values && first == other.first && second == other.second &&
           first_absmax == other.first_absmax && second_absmax == other.second_absmax;
  }

  std::vector<float> values, gradients;
  std::vector<uint8_t> first, second;
  std::vector<float> first_absmax, second_absmax;
  std::mt19937 random;
  std::normal_distribution<float> normal;
};

class AdamW8bitTest : public ::testing::TestWithParam<int64_t> {};

// A step's change is that of exact moments but for what the codes lose: at most half a step of the map's last decade, 0.7 % of the
// block's largest.
TEST_P(AdamW8bitTest, FollowsMomentsInFloat64) {
  Weights weights(GetParam());
  std::vector<double> first(weights.values.size()), second(weights.values.size());
  for (int t = 1; t <= 3; ++t) {
    const AdamW8bitArrays arrays = weights.NextGradients();
    const AdamW8bitStep step = StepOf(t);
    const std::vector<float> before = weights.values;
    for (int64_t i = 0; i < arrays.count; ++i) {
      // From what was kept, so that one step's rounding is seen.
      first[i] = double{DynamicMapSigned()[weights.first[i]]} * weights.first_absmax[i / 256];
      second[i] = double{DynamicMapUnsigned()[weights.second[i]]} * weights.second_absmax[i / 256];
      const double g = arrays.gradients[i];
      first[i] = 0.9 * first[i] + 0.1 * g;
      second[i] = 0.999 * second[i] + 0.001 * g * g;
    }
    AdamW8bit(step, arrays, 0, AdamW8bitBlocks(arrays.count));
    for (int64_t i = 0; i < arrays.count; ++i) {
      const double expected =
          before[i] * (1 - 2e-5) - double{step.rate} * first[i] / (std::sqrt(second[i]) + step.eps);
      ASSERT_NEAR(weights.values[i], expected, 1e-6) << "step " << t << ", weight " << i;
      const int64_t block = i / 256;
      ASSERT_NEAR(DynamicMapSigned()[weights.first[i]] * weights.first_absmax[block], first[i],
                  0.0071 * weights.first_absmax[block]);
      ASSERT_NEAR(DynamicMapUnsigned()[weights.second[i]] * weights.second_absmax[block], second[i],
                  0.0036 * weights.second_absmax[block]);
    }
  }
}

TEST_P(AdamW8bitTest, TheBodyGivesTheSameBits) {
  Weights weights(GetParam()), grid(GetParam());
  for (int t = 1; t <= 3; ++t) {
    AdamW8bit(StepOf(t), weights.NextGradients(), 0, AdamW8bitBlocks(GetParam()));
    Emulate(AdamW8bitBody{StepOf(t), grid.NextGradients(), DynamicMapSigned(), DynamicMapUnsigned()});
    EXPECT_TRUE(weights == grid) << "step " << t;
  }
}

TEST_P(AdamW8bitTest, BlocksAloneGiveTheBitsOfAll) {
  Weights weights(GetParam()), alone(GetParam());
  for (int t = 1; t <= 2; ++t) {
    AdamW8bit(StepOf(t), weights.NextGradients(), 0, AdamW8bitBlocks(GetParam()));
    const AdamW8bitArrays arrays = alone.NextGradients();
    for (int64_t block = AdamW8bitBlocks(GetParam()) - 1; block >= 0; --block)
      AdamW8bit(StepOf(t), arrays, block, block + 1);
  }
  EXPECT_TRUE(weights == alone);
}

INSTANTIATE_TEST_SUITE_P(Odd, AdamW8bitTest, ::testing::Values(1, 255, 256, 257, 4096, 5001));

TEST(AdamW8bitBlock, WithoutAGradientTheWeightsOnlyDecay) {
  std::vector<float> values(300, 2), gradients(300, 0), absmax(2, 0), second_absmax(2, 0);
  std::vector<uint8_t> first(300), second(300);
  AdamW8bit(StepOf(1),
            {values.data(), gradients.data(), 300, first.data(), absmax.data(), second.data(),
             second_absmax.data()},
            0, 2);
  for (const float value : values) EXPECT_EQ(value, 2 * StepOf(1).decay);
  EXPECT_EQ(absmax, std::vector<float>(2, 0));
  EXPECT_EQ(second_absmax, std::vector<float>(2, 0));
}

}  // namespace
}  // namespace ft::kernels
