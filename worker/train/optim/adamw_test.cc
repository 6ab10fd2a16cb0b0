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
  AdamW optimizer({.weight_decay = 0.1}, *store);
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
    optimizer.Step(lr);
    torch::Tensor(store->gradients()).mul_(-0.7);
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LT(
        (store->value(static_cast<int>(i)).to(torch::kFloat64) - expected[i]).abs().max().item<double>(),
        2e-6)
        << i;
  }
}

// LoRA+: B goes as far as it would with so many times the rate, and nothing else does.
TEST(AdamWTest, AdaptersBMayHaveARateOfItsOwn) {
  const auto store = [] {
    torch::manual_seed(7);
    std::vector<params::NamedTensor> tensors;
    for (const char* name :
         {"l0.lora_A.weight", "l0.lora_B.weight", "l1.lora_A.weight", "l1.lora_B.weight", "x"})
      tensors.push_back({name, torch::randn({300}), torch::randn({300})});
    return params::MakeStore(tensors, TestDevice());
  };
  const Store plus = store(), slow = store(), fast = store();
  AdamW with_ratio({.weight_decay = 0.1, .lora_b_ratio = 16}, *plus);
  AdamW without({.weight_decay = 0.1}, *slow), faster({.weight_decay = 0.1}, *fast);
  for (int t = 0; t < 3; ++t) {
    with_ratio.Step(1e-3);
    without.Step(1e-3);
    faster.Step(16e-3);
  }
  for (int i = 0; i < plus->size(); ++i) {
    const bool is_b = plus->name(i).find("lora_B") != std::string::npos;
    EXPECT_TRUE(torch::equal(plus->value(i), (is_b ? fast : slow)->value(i))) << plus->name(i);
  }
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
  AdamW({}, *whole).Step(1e-3);
  at::set_num_threads(1);
  std::vector<torch::Tensor> values;
  for (const Store& store : stores) {
    AdamW({}, *store).Step(1e-3);
    values.push_back(store->value(0));
  }
  EXPECT_TRUE(torch::equal(whole->value(0), torch::cat(values)));
}

// What ranks that own shares do, put together.
TEST(AdamWTest, SharesGiveTheBitsOfTheWhole) {
  const Store whole = Parameters({5000, 40'000, 3});
  const torch::Tensor before = whole->values().clone(), gradients = whole->gradients().clone();
  AdamW({.weight_decay = 0.1}, *whole).Step(1e-2);
  for (const int ranks : {1, 2, 4}) {
    torch::Tensor together = torch::empty_like(before);
    for (int rank = 0; rank < ranks; ++rank) {
      const Store store = Parameters({5000, 40'000, 3});
      store->Own(plan::Share::Of(plan::Slices(store->table(), 4), {rank, ranks}), /*apart=*/true);
      for (const plan::Share::Part& part : store->share().parts()) {
        const int64_t elements = part.whole.end - part.whole.begin;
        store->gradient_sums()
            .narrow(0, part.begin, elements)
            .copy_(gradients.narrow(0, part.whole.begin, elements));
      }
      AdamW({.weight_decay = 0.1}, *store).Step(1e-2);
      for (const plan::Share::Part& part : store->share().parts()) {
        const int64_t elements = part.whole.end - part.whole.begin;
        together.narrow(0, part.whole.begin, elements)
            .copy_(store->values().narrow(0, part.whole.begin, elements));
        if (ranks > 1) continue;
        EXPECT_EQ(elements, before.numel());  // Neighbours are one part.
      }
    }
    EXPECT_TRUE(torch::equal(together, whole->values())) << ranks;
  }
}

TEST(AdamWTest, PaddingStaysZero) {
  const Store store = Parameters({5, 300});
  AdamW optimizer({.weight_decay = 0.1}, *store);
  for (int t = 0; t < 3; ++t) optimizer.Step(0.1);
  EXPECT_EQ(store->values().narrow(0, 5, plan::kGranule - 5).abs().sum().item<double>(), 0);
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
