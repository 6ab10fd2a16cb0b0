#include "worker/train/optim/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/test_device.h"
#include "worker/model/params/store_fixture.h"
#include "worker/train/optim/clip.h"

namespace ft::optim {
namespace {

using Store = std::unique_ptr<params::ParameterStore>;
using torch::Tensor;

Store Parameters(std::initializer_list<int64_t> sizes) {
  std::vector<params::NamedTensor> tensors;
  torch::manual_seed(7);
  for (int64_t size : sizes) {
    tensors.push_back({"p" + std::to_string(tensors.size()), torch::randn({size}), torch::randn({size})});
  }
  return params::MakeStore(tensors, TestDevice());
}

TEST(AdamWTest, EqualsFormulaInDoubleOverSteps) {
  const Store store = Parameters({1, 17, 300});
  std::vector<torch::Tensor> expected, m, v;
  for (int i = 0; i < store->size(); ++i) {
    expected.push_back(store->value(i).to(torch::kFloat64));
    m.push_back(torch::zeros_like(expected.back()));
    v.push_back(torch::zeros_like(expected.back()));
  }
  const auto optimizer = Optimizer::Of({.weight_decay = 0.1}, *store);
  for (int t = 1; t <= 5; ++t) {
    const double lr = 0.01 * t;
    for (size_t i = 0; i < expected.size(); ++i) {
      const torch::Tensor g = store->gradient(static_cast<int>(i)).to(torch::kFloat64);
      expected[i] = expected[i] * (1 - lr * 0.1);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      const torch::Tensor root = (v[i] / (1 - std::pow(0.999, t))).sqrt() + 1e-8;
      expected[i] = expected[i] - lr * (m[i] / (1 - std::pow(0.9, t))) / root;
    }
    EXPECT_TRUE(optimizer->Step(lr).ok());
    torch::Tensor(store->gradients()).mul_(-0.7);
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LT(
        (store->value(static_cast<int>(i)).to(torch::kFloat64) - expected[i]).abs().max().item<double>(),
        2e-6)
        << i;
  }
}

// What checkpoints and ledgers of before hold: LibTorch's fused kernel over the whole, whatever it is cut in.
TEST(AdamWTest, EqualsTheFusedKernelBitForBit) {
  const Store store = Parameters({5000, 40'000, 3});
  Tensor values = store->values().clone(), first = torch::zeros_like(values),
         second = torch::zeros_like(values);
  const auto optimizer =
      Optimizer::Of({.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.1}, *store);
  for (int t = 1; t <= 3; ++t) {
    at::_fused_adamw_({values}, {store->gradients()}, {first}, {second}, {},
                      {torch::full({}, static_cast<double>(t), values.options())}, 0.01 * t, 0.8, 0.95, 0.1,
                      1e-6,
                      /*amsgrad=*/false, /*maximize=*/false);
    EXPECT_TRUE(optimizer->Step(0.01 * t).ok());
  }
  EXPECT_TRUE(torch::equal(store->values(), values));
  const plan::Extent all{0, values.numel()};
  EXPECT_TRUE(torch::equal(*optimizer->ReadItems(optimizer->state()[0], all), first));
  EXPECT_TRUE(torch::equal(*optimizer->ReadItems(optimizer->state()[1], all), second));
}

TEST(AdamWTest, ThreadsAndSplitsDoNotChangeABit) {
  const Store whole = Parameters({100'003});
  std::vector<params::NamedTensor> parts;
  for (int64_t begin = 0; begin < 100'003; begin += 33'280) {
    const int64_t size = std::min<int64_t>(33'280, 100'003 - begin);
    parts.push_back({"part" + std::to_string(parts.size()), whole->value(0).narrow(0, begin, size),
                     whole->gradient(0).narrow(0, begin, size)});
  }
  // A tensor a store, each updated by itself.
  std::vector<Store> stores;
  for (const params::NamedTensor& part : parts) stores.push_back(params::MakeStore({part}, TestDevice()));
  at::set_num_threads(2);
  EXPECT_TRUE(Optimizer::Of({}, *whole)->Step(1e-3).ok());
  at::set_num_threads(1);
  std::vector<torch::Tensor> values;
  for (const Store& store : stores) {
    EXPECT_TRUE(Optimizer::Of({}, *store)->Step(1e-3).ok());
    values.push_back(store->value(0));
  }
  EXPECT_TRUE(torch::equal(whole->value(0), torch::cat(values)));
}

TEST(ClipTest, NormEqualsDoubleAndClipScales) {
  const Store store = Parameters({5, 256, 1000});
  const double sum = store->gradients().to(torch::kFloat64).square().sum().item<double>();
  const double norm = GlobalNorm(*store);
  EXPECT_NEAR(norm, std::sqrt(sum), 1e-5);
  ClipByNorm(*store, norm, 0.5);
  EXPECT_NEAR(GlobalNorm(*store), 0.5, 1e-5);
  ClipByNorm(*store, 0.5, 10);
  EXPECT_NEAR(GlobalNorm(*store), 0.5, 1e-5);
}

TEST(ClipTest, NonFiniteGradientIsNamedAndMakesTheNormNonFinite) {
  const Store store = Parameters({5, 300});
  EXPECT_EQ(FirstNonFinite(*store), store->size());
  store->gradient(1)[299] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(FirstNonFinite(*store), 1);
  EXPECT_FALSE(std::isfinite(GlobalNorm(*store)));
}

}  // namespace
}  // namespace ft::optim
