#include "kernels/cross_entropy/cross_entropy.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cross_entropy/cross_entropy_grid.h"

namespace ft::kernels {
namespace {

constexpr int64_t kRows = 3;
constexpr float kScale = 0.25f;

struct Problem {
  std::vector<float> logits;
  std::vector<int64_t> targets;
};

Problem RandomProblem(int64_t vocabulary) {
  Problem p;
  std::mt19937 random(static_cast<uint32_t>(vocabulary));
  std::normal_distribution<float> normal(0, 4);
  for (int64_t i = 0; i < kRows * vocabulary; ++i) p.logits.push_back(normal(random));
  p.logits[0] = 60;  // A row that one value rules.
  p.targets = {0, vocabulary / 2, vocabulary - 1};
  return p;
}

// The definition in float64.
void Define(const Problem& p, int64_t vocabulary, std::vector<double>& loss, std::vector<double>& gradient) {
  for (int64_t row = 0; row < kRows; ++row) {
    const float* l = p.logits.data() + row * vocabulary;
    double sum = 0;
    for (int64_t i = 0; i < vocabulary; ++i) sum += std::exp(double{l[i]});
    loss.push_back(std::log(sum) - l[p.targets[row]]);
    for (int64_t i = 0; i < vocabulary; ++i) {
      gradient.push_back((std::exp(double{l[i]}) / sum - (i == p.targets[row] ? 1 : 0)) * kScale);
    }
  }
}

class Vocabularies : public ::testing::TestWithParam<int64_t> {};

TEST_P(Vocabularies, ArrayFunctionAndGridBodyAgreeWithTheDefinition) {
  const int64_t vocabulary = GetParam();
  const Problem p = RandomProblem(vocabulary);
  std::vector<double> loss, gradient, array_loss(kRows), grid_loss(kRows);
  Define(p, vocabulary, loss, gradient);
  const CrossEntropyShape shape{vocabulary, true, kScale};
  std::vector<float> array = p.logits, grid = p.logits;
  CrossEntropyRows<float>(shape, 0, kRows, p.targets.data(), array.data(), array_loss.data());
  Emulate(CrossEntropyBody<float>{shape, kRows, p.targets.data(), grid.data(), grid_loss.data()});
  for (int64_t row = 0; row < kRows; ++row) {
    EXPECT_NEAR(array_loss[row], loss[row], 2e-6 * (1 + std::fabs(loss[row])));
    EXPECT_NEAR(grid_loss[row], loss[row], 1e-5 * (1 + std::fabs(loss[row])));
  }
  for (size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_NEAR(array[i], gradient[i], 1e-6 * kScale) << i;
    EXPECT_NEAR(grid[i], gradient[i], 1e-5 * kScale) << i;
  }
}

TEST_P(Vocabularies, WithoutGradientTheLogitsStayAndRowsMayBeDivided) {
  const int64_t vocabulary = GetParam();
  const Problem p = RandomProblem(vocabulary);
  const CrossEntropyShape shape{.vocabulary = vocabulary};
  std::vector<float> logits = p.logits;
  std::vector<double> whole(kRows), parts(kRows);
  CrossEntropyRows<float>(shape, 0, kRows, p.targets.data(), logits.data(), whole.data());
  for (int64_t row = 0; row < kRows; ++row) {
    CrossEntropyRows<float>(shape, row, row + 1, p.targets.data(), logits.data(), parts.data());
  }
  EXPECT_EQ(whole, parts);
  EXPECT_EQ(logits, p.logits);
}

INSTANTIATE_TEST_SUITE_P(Odd, Vocabularies, ::testing::Values(2, 15, 16, 17, 1023, 1024, 1025, 4099));

TEST(CrossEntropy, Bfloat16GradientIsTheFloatGradientRoundedOnce) {
  constexpr int64_t kVocabulary = 777;
  const Problem p = RandomProblem(kVocabulary);
  std::vector<BF16> narrow;
  std::vector<float> wide;
  for (float value : p.logits) {
    narrow.push_back(FromFloat<BF16>(value));
    wide.push_back(ToFloat(narrow.back()));
  }
  std::vector<double> loss(kRows), loss_wide(kRows);
  const CrossEntropyShape shape{kVocabulary, true, kScale};
  CrossEntropyRows<BF16>(shape, 0, kRows, p.targets.data(), narrow.data(), loss.data());
  CrossEntropyRows<float>(shape, 0, kRows, p.targets.data(), wide.data(), loss_wide.data());
  EXPECT_EQ(loss, loss_wide);
  for (size_t i = 0; i < wide.size(); ++i) EXPECT_EQ(narrow[i].bits, FromFloat<BF16>(wide[i]).bits) << i;
}

TEST(CrossEntropy, ARowThatIsNotFiniteHasALossThatIsNot) {
  for (const float broken :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> logits(100, 0.5f);
    logits[37] = broken;
    const int64_t target = 3;
    double loss = 0;
    CrossEntropyRows<float>({.vocabulary = 100}, 0, 1, &target, logits.data(), &loss);
    EXPECT_FALSE(std::isfinite(loss));
  }
}

}  // namespace
}  // namespace ft::kernels
