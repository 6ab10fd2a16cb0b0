#include "worker/train/optim/sgd.h"

#include <gtest/gtest.h>

#include "tests/support/test_device.h"
#include "worker/model/params/store_fixture.h"

namespace ft::optim {
namespace {

TEST(SgdTest, EqualsTorchsFormulaInPlainLoops) {
  torch::manual_seed(3);
  for (const float decay : {0.0f, 0.1f}) {
    const torch::Tensor value = torch::randn({2000}), gradient = torch::randn({2000});
    const auto store = params::MakeStore({{"w", value, gradient}}, TestDevice());
    const auto optimizer = Optimizer::Of({.kind = "sgd", .weight_decay = decay}, *store);
    torch::Tensor expected = value.clone();
    float* w = expected.mutable_data_ptr<float>();
    const float* g = gradient.const_data_ptr<float>();
    for (int step = 1; step <= 3; ++step) {
      const float lr = 0.125f * static_cast<float>(step);
      EXPECT_TRUE(optimizer->Step(lr).ok());
      for (int64_t i = 0; i < 2000; ++i) {
        const float decayed = w[i] * decay;
        const float change = (decayed + g[i]) * lr;
        w[i] -= change;
      }
    }
    EXPECT_TRUE(torch::equal(store->value(0).cpu(), expected)) << decay;
    EXPECT_TRUE(optimizer->state().empty());
    EXPECT_EQ(optimizer->steps(), 3);
  }
}

}  // namespace
}  // namespace ft::optim
