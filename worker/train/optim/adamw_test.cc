#include "worker/train/optim/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "worker/train/optim/clip.h"

namespace ft::optim {
namespace {

std::vector<params::ParamRef> Parameters(std::initializer_list<int64_t> sizes) {
  std::vector<params::ParamRef> parameters;
  torch::manual_seed(7);
  for (int64_t size : sizes) {
    parameters.push_back({"p" + std::to_string(parameters.size()), torch::randn({size}), torch::randn({size})});
  }
  return parameters;
}

TEST(AdamWTest, EqualsFormulaInDoubleOverSteps) {
  std::vector<params::ParamRef> parameters = Parameters({1, 17, 300});
  std::vector<torch::Tensor> expected, m, v;
  for (const params::ParamRef& p : parameters) {
    expected.push_back(p.value.to(torch::kFloat64));
    m.push_back(torch::zeros_like(expected.back()));
    v.push_back(torch::zeros_like(expected.back()));
  }
  AdamW optimizer({.weight_decay = 0.1}, parameters);
  for (int t = 1; t <= 5; ++t) {
    const double lr = 0.01 * t;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const torch::Tensor g = parameters[i].gradient.to(torch::kFloat64);
      expected[i] = expected[i] * (1 - lr * 0.1);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      const torch::Tensor root = (v[i] / (1 - std::pow(0.999, t))).sqrt() + 1e-8;
      expected[i] = expected[i] - lr * (m[i] / (1 - std::pow(0.9, t))) / root;
    }
    optimizer.Step(lr);
    for (params::ParamRef& p : parameters) p.gradient.mul_(-0.7);
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_LT((parameters[i].value.to(torch::kFloat64) - expected[i]).abs().max().item<double>(), 2e-6) << i;
  }
}

TEST(AdamWTest, ThreadsAndSplitsDoNotChangeABit) {
  std::vector<params::ParamRef> whole = Parameters({100'003});
  std::vector<params::ParamRef> parts;
  for (int64_t begin = 0; begin < 100'003; begin += 33'280) {
    const int64_t size = std::min<int64_t>(33'280, 100'003 - begin);
    parts.push_back({"part", whole[0].value.narrow(0, begin, size).clone(), whole[0].gradient.narrow(0, begin, size).clone()});
  }
  AdamW one({}, whole), several({}, parts);
  at::set_num_threads(2);
  one.Step(1e-3);
  at::set_num_threads(1);
  several.Step(1e-3);
  std::vector<torch::Tensor> values;
  for (const params::ParamRef& p : parts) values.push_back(p.value);
  EXPECT_TRUE(torch::equal(whole[0].value, torch::cat(values)));
}

TEST(ClipTest, NormEqualsDoubleAndClipScales) {
  std::vector<params::ParamRef> parameters = Parameters({5, 256, 1000});
  double sum = 0;
  for (const params::ParamRef& p : parameters) sum += p.gradient.to(torch::kFloat64).square().sum().item<double>();
  const double norm = GlobalNorm(parameters);
  EXPECT_NEAR(norm, std::sqrt(sum), 1e-5);
  ClipByNorm(parameters, norm, 0.5);
  EXPECT_NEAR(GlobalNorm(parameters), 0.5, 1e-5);
  ClipByNorm(parameters, 0.5, 10);
  EXPECT_NEAR(GlobalNorm(parameters), 0.5, 1e-5);
}

TEST(ClipTest, NonFiniteGradientIsNamedAndMakesTheNormNonFinite) {
  std::vector<params::ParamRef> parameters = Parameters({5, 300});
  EXPECT_EQ(FirstNonFinite(parameters), "");
  parameters[1].gradient[299] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(FirstNonFinite(parameters), "p1");
  EXPECT_FALSE(std::isfinite(GlobalNorm(parameters)));
}

}  // namespace
}  // namespace ft::optim
