#include "worker/model/params/parameter_store.h"

#include <gtest/gtest.h>

#include "tests/support/test_device.h"
#include "worker/model/params/resident_slot.h"

namespace ft::params {
namespace {

using torch::Tensor;

plan::SliceTable Table() {
  return plan::SliceTable::Of({{"c", {3, 100}, 0}, {"b", {256}, 1}, {"a", {6, 4}, 1}});
}

TEST(ParameterStoreTest, TensorsAreViewsOfOneWhole) {
  ParameterStore store(Table(), TestDevice());
  ASSERT_EQ(store.size(), 3);
  EXPECT_EQ(store.name(0), "a");
  EXPECT_EQ(store.Find("c"), 2);
  EXPECT_EQ(store.Find("d"), -1);
  store.value(2).fill_(1);
  store.Add(0, torch::ones({6, 4}, store.values().options()));
  store.Add(0, torch::ones({6, 4}, store.values().options()));
  EXPECT_EQ(store.values().sum().item<double>(), 300);
  EXPECT_EQ(store.gradients().sum().item<double>(), 48);
  EXPECT_EQ(store.gradient(0)[5][3].item<double>(), 2);
  store.ZeroGradients();
  EXPECT_EQ(store.gradients().abs().sum().item<double>(), 0);
}

TEST(ParameterStoreTest, OfAShareOnlyItsSumsAreHeld) {
  for (const bool apart : {false, true}) {
    ParameterStore store(Table(), TestDevice());
    // "c", which is too short to be cut, and "b".
    store.Own(plan::Share::Of(plan::Slices(store.table(), 2), {1, 2}), apart);
    EXPECT_EQ(store.held(), (plan::StateBytes{.values = 4096, .gradients = apart ? 3072 : 0}));
    EXPECT_EQ(store.gradient_sums().numel(), 768);
    EXPECT_EQ(store.held().gradients, apart ? 3072 : 4096);
  }
}

TEST(TrainedSlotTest, ACopyInAnotherTypeIsForgottenWhenValuesChange) {
  ParameterStore store(Table(), TestDevice());
  const TrainedSlot slot(store, 0, at::kBFloat16);
  EXPECT_EQ(slot.name(), "a");
  EXPECT_EQ(slot.index(), 0);
  EXPECT_TRUE(slot.trainable());
  store.value(0).fill_(1.0 + 1.0 / 512);  // No bfloat16.
  const Tensor before = slot.Materialise(at::kFloat);
  EXPECT_EQ(before[0][0].item<float>(), 1.0f);
  store.value(0).fill_(3);
  EXPECT_EQ(slot.Materialise(at::kFloat)[0][0].item<float>(), 1.0f);
  store.ValuesChanged();
  EXPECT_EQ(slot.Materialise(at::kFloat)[0][0].item<float>(), 3.0f);
  EXPECT_EQ(slot.Materialise(at::kBFloat16).scalar_type(), at::kBFloat16);
}

TEST(ResidentSlotTest, TilesOfABfloat16WeightAreNotWidened) {
  ParameterStore store(Table());
  const Tensor value = torch::randn({6, 4});
  store.value(0).copy_(value);
  const ResidentSlot frozen("w", value.to(at::kBFloat16));
  const TrainedSlot trained(store, 0, at::kBFloat16), whole(store, 0);
  for (const ops::WeightSlot* slot : std::initializer_list<const ops::WeightSlot*>{&frozen, &trained}) {
    const auto tiles = slot->Tiles(at::kFloat);
    ASSERT_EQ(tiles->type(), at::kBFloat16);
    const auto rows = tiles->Tile({2, 3, 0, 4}, static_cast<kernels::BF16*>(nullptr));
    const Tensor expected = slot->Materialise(at::kFloat);
    for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(kernels::ToFloat(rows.data[i]), expected[2][i].item<float>());
  }
  EXPECT_EQ(whole.Tiles(at::kFloat)->type(), at::kFloat);
  EXPECT_EQ(whole.Tiles(at::kBFloat16)->type(), at::kBFloat16);
}

}  // namespace
}  // namespace ft::params
