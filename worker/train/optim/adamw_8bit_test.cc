// The kernel's arithmetic has its own test; here which tensors it is for, and that it is AdamW. bitsandbytes' numbers: make golden
// CASES=adamw8bit.
#include "worker/train/optim/adamw_8bit.h"

#include <gtest/gtest.h>

#include "tests/support/test_device.h"
#include "worker/model/ops/dynamic_map.h"
#include "worker/model/params/store_fixture.h"
#include "worker/train/optim/adamw.h"

namespace ft::optim {
namespace {

using torch::Tensor;

constexpr double kRate = 2e-3;

// "large" has 5,000 weights, "small" 4,095.
std::unique_ptr<params::ParameterStore> Parameters() {
  torch::manual_seed(11);
  return params::MakeStore({{"large", torch::randn({50, 100}), torch::randn({50, 100})},
                            {"small", torch::randn({4095}), torch::randn({4095})}},
                           TestDevice());
}

// All items of an array, on the host.
Tensor Items(const Optimizer& optimizer, size_t array) {
  const StateTensor& state = optimizer.state()[array];
  return optimizer.ReadItems(state, {0, state.layout.items()})->cpu();
}

// What the codes of array `codes` and the maxima behind it stand for.
Tensor Restored(const Optimizer& optimizer, size_t codes, const Tensor& map) {
  const Tensor maxima = Items(optimizer, codes + 1).repeat_interleave(plan::kGranule);
  return map.index({Items(optimizer, codes).to(torch::kLong)}) * maxima;
}

TEST(AdamW8bitTest, SmallTensorsAreThoseOfAdamWBitForBit) {
  const auto eight = Parameters(), full = Parameters();
  const auto optimizer = Optimizer::Of({.kind = "adamw_8bit", .weight_decay = 0.01}, *eight);
  const auto reference = Optimizer::Of({.weight_decay = 0.01}, *full);
  for (int step = 0; step < 4; ++step) {
    EXPECT_TRUE(optimizer->Step(kRate).ok());
    EXPECT_TRUE(reference->Step(kRate).ok());
  }
  EXPECT_TRUE(torch::equal(eight->value(1), full->value(1)));
  EXPECT_FALSE(torch::equal(eight->value(0), full->value(0)));
}

// The first step knows no rounded moment; later ones differ by what codes lose, which for a weight whose second moment is small beside its
// block's largest is all of it: single weights go several rates apart, the mean of them does not.
TEST(AdamW8bitTest, LargeTensorsFollowAdamW) {
  const auto eight = Parameters(), full = Parameters();
  const auto optimizer = Optimizer::Of({.kind = "adamw_8bit", .weight_decay = 0.01}, *eight);
  const auto reference = Optimizer::Of({.weight_decay = 0.01}, *full);
  const auto difference = [&] { return (eight->value(0) - full->value(0)).abs().max().item<double>(); };
  EXPECT_TRUE(optimizer->Step(kRate).ok());
  EXPECT_TRUE(reference->Step(kRate).ok());
  EXPECT_LT(difference(), 1e-6);
  for (int step = 0; step < 3; ++step) {
    EXPECT_TRUE(optimizer->Step(kRate).ok());
    EXPECT_TRUE(reference->Step(kRate).ok());
  }
  EXPECT_GT(difference(), 1e-6);
  // A step of AdamW with a second moment of nothing but this gradient's is at most 2 rates long by the fourth: 1.4, 1.7 and 2.0.
  EXPECT_LT(difference(), 5.2 * kRate);
  EXPECT_LT((eight->value(0) - full->value(0)).abs().mean().item<double>(), 0.1 * kRate);
}

TEST(AdamW8bitTest, CodesAndMaximaStandForTheMoments) {
  const auto eight = Parameters(), full = Parameters();
  const auto optimizer = Optimizer::Of({.kind = "adamw_8bit"}, *eight);
  const auto reference = Optimizer::Of({}, *full);
  EXPECT_TRUE(optimizer->Step(kRate).ok());
  EXPECT_TRUE(reference->Step(kRate).ok());
  const ops::DynamicMaps maps = ops::DynamicMapsOn(at::kCPU);
  for (const auto& [codes, moments, map] :
       {std::tuple{2, 0, maps.signed_map}, std::tuple{4, 1, maps.unsigned_map}}) {
    const Tensor expected = Items(*reference, static_cast<size_t>(moments)).narrow(0, 0, 5000);
    const Tensor restored = Restored(*optimizer, static_cast<size_t>(codes), map).narrow(0, 0, 5000);
    EXPECT_LT((restored - expected).abs().max().item<double>(), 0.0071 * expected.abs().max().item<double>());
  }
}

}  // namespace
}  // namespace ft::optim
