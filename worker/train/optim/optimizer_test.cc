// What every kind of optimizer keeps to.
#include "worker/train/optim/optimizer.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/model/params/store_fixture.h"
#include "worker/train/offload/disk_tier.h"
#include "worker/train/offload/disk_weights.h"
#include "worker/train/offload/host_tier.h"

namespace ft::optim {
namespace {

using Store = std::unique_ptr<params::ParameterStore>;
using torch::Tensor;

constexpr double kRate = 1e-2;

// Tensors that slices cut, small ones, and adapters' B.
Store Parameters() {
  torch::manual_seed(7);
  std::vector<params::NamedTensor> tensors;
  for (const auto& [name, size] :
       {std::pair{"a", 5000}, std::pair{"l.lora_A.weight", 40'000}, std::pair{"l.lora_B.weight", 9000},
        std::pair{"m.lora_B.weight", 300}, std::pair{"z", 3}}) {
    tensors.push_back({name, torch::randn({size}), torch::randn({size})});
  }
  return params::MakeStore(tensors, TestDevice());
}

// Values of a share, which rest on `tier`, or with none in place; more than a tile of them.
Store Resting(params::WeightTier* tier) {
  torch::manual_seed(7);
  const plan::SliceTable table = plan::SliceTable::Of({{"l.lora_B.weight", {300}}, {"w", {700, 1000}}});
  auto store = std::make_unique<params::ParameterStore>(table, plan::Share::Whole(table.elements()),
                                                        at::kFloat, TestDevice(), tier);
  for (int i = 0; i < store->size(); ++i) {
    store->SetValue(i, torch::randn(store->range(i).tensor.shape));
    store->Add(i, torch::randn(store->range(i).tensor.shape).to(TestDevice()));
  }
  return store;
}

class OptimizerTest : public ::testing::TestWithParam<const char*> {
 protected:
  recipe::OptimizerSpec Spec(double lora_b_ratio = 0) const {
    return {.kind = GetParam(), .weight_decay = 0.1, .loraplus_lr_ratio = lora_b_ratio};
  }
};

TEST_P(OptimizerTest, ValuesThatRestElsewhereGiveTheBitsOfValuesThatStay) {
  const ft::testing::TempDir dir;
  const auto tier = offload::MakeDiskWeights(
      [&dir](int64_t bytes, const std::string& what) {
        return offload::OpenTileFile(dir.path(), bytes, what);
      },
      {.pinned = !TestDevice().is_cpu()});
  const Store stays = Resting(nullptr), goes = Resting(tier.get());
  const auto one = Optimizer::Of(Spec(4), *stays), other = Optimizer::Of(Spec(4), *goes);
  const plan::TierBytes before = tier->bytes();
  for (int step = 0; step < 2; ++step) {
    EXPECT_TRUE(one->Step(kRate).ok());
    EXPECT_TRUE(other->Step(kRate).ok());
  }
  const int64_t bytes = goes->share().elements() * static_cast<int64_t>(sizeof(float));
  EXPECT_EQ(tier->bytes().read - before.read, 2 * bytes);
  EXPECT_EQ(tier->bytes().written - before.written, 2 * bytes);
  EXPECT_EQ(goes->held().values, 0);
  EXPECT_TRUE(torch::equal(goes->ReadShare({0, goes->share().elements()}), stays->values()));
}

// What ranks that own shares do, put together.
TEST_P(OptimizerTest, SharesGiveTheBitsOfTheWhole) {
  constexpr int kSteps = 3;
  const Store whole = Parameters();
  const Tensor gradients = whole->gradients().clone();
  const auto one = Optimizer::Of(Spec(4), *whole);
  for (int step = 0; step < kSteps; ++step) EXPECT_TRUE(one->Step(kRate).ok());
  for (const int ranks : {1, 2, 4}) {
    Tensor together = torch::empty_like(whole->values());
    int64_t bytes = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const Store store = Parameters();
      store->Own(plan::Share::Of(plan::Slices(store->table(), 4), {rank, ranks}), /*apart=*/true);
      const auto extents = [&](const Tensor& share, const plan::Share::Part& part) {
        return share.narrow(0, part.begin, part.whole.end - part.whole.begin);
      };
      const auto of = [&](const Tensor& all, const plan::Share::Part& part) {
        return all.narrow(0, part.whole.begin, part.whole.end - part.whole.begin);
      };
      for (const plan::Share::Part& part : store->share().parts())
        extents(store->gradient_sums(), part).copy_(of(gradients, part));
      const auto optimizer = Optimizer::Of(Spec(4), *store);
      for (int step = 0; step < kSteps; ++step) EXPECT_TRUE(optimizer->Step(kRate).ok());
      for (const plan::Share::Part& part : store->share().parts())
        of(together, part).copy_(of(store->values(), part));
      bytes += optimizer->state_bytes();
    }
    EXPECT_TRUE(torch::equal(together, whole->values())) << ranks;
    EXPECT_EQ(bytes, one->state_bytes()) << ranks;
  }
}

// Tiles that cut tensors, and hold several of them.
constexpr int64_t kTileWeights = 7 * plan::kGranule;

std::unique_ptr<offload::Tier> OnDisk(const params::ParameterStore& store, const char* kind,
                                      const ft::testing::TempDir& dir) {
  const plan::StateTiles tiles =
      plan::StateTiles::Of(store.table(), store.share(), plan::StateArraysOf(kind), kTileWeights);
  StatusOr<offload::OpenedTileFile> opened = offload::OpenTileFile(dir.path(), tiles.bytes());
  EXPECT_TRUE(opened.ok()) << opened.status();
  return offload::MakeDiskTier(tiles, std::move(opened->file), {.pinned = !TestDevice().is_cpu()});
}

std::unique_ptr<offload::Tier> InHostMemory(const params::ParameterStore& store, const char* kind,
                                            const ft::testing::TempDir&) {
  return offload::MakeHostTier(
      plan::StateTiles::Of(store.table(), store.share(), plan::StateArraysOf(kind), kTileWeights),
      TestDevice());
}

TEST_P(OptimizerTest, StateThatRestsElsewhereGivesTheBitsOfStateThatStays) {
  constexpr int kSteps = 3;
  const Store stays = Parameters();
  const auto one = Optimizer::Of(Spec(4), *stays);
  for (int step = 0; step < kSteps; ++step) EXPECT_TRUE(one->Step(kRate).ok());
  for (const auto& make : {OnDisk, InHostMemory}) {
    // A tier of the host's memory is one beside a device, and what keeps nothing needs none.
    if ((make == InHostMemory && TestDevice().is_cpu()) || one->state().empty()) continue;
    const ft::testing::TempDir dir;
    const Store goes = Parameters();
    const auto other = Optimizer::Of(Spec(4), *goes, make(*goes, GetParam(), dir));
    for (int step = 0; step < kSteps; ++step) EXPECT_TRUE(other->Step(kRate).ok());
    EXPECT_TRUE(torch::equal(goes->values(), stays->values()));
    EXPECT_EQ(other->state_bytes(), 0);
    EXPECT_EQ(other->tier_bytes(), plan::StateTiles::Of(goes->table(), goes->share(),
                                                        plan::StateArraysOf(GetParam()), kTileWeights)
                                       .AfterSteps(kSteps));
    for (const StateTensor& array : one->state()) {
      const plan::Extent all{0, array.layout.items()};
      EXPECT_TRUE(torch::equal(*other->ReadItems(array, all), *one->ReadItems(array, all)))
          << array.array.name;
    }
  }
}

TEST_P(OptimizerTest, ThreadsDoNotChangeABit) {
  std::vector<Tensor> values;
  for (const int threads : {2, 1}) {
    at::set_num_threads(threads);
    const Store store = Parameters();
    EXPECT_TRUE(Optimizer::Of(Spec(), *store)->Step(kRate).ok());
    values.push_back(store->values());
  }
  EXPECT_TRUE(torch::equal(values[0], values[1]));
}

TEST_P(OptimizerTest, StateIsThePlans) {
  const Store store = Parameters();
  const auto optimizer = Optimizer::Of(Spec(), *store);
  EXPECT_EQ(optimizer->state_bytes(),
            plan::StateOf(store->table(), {}, {}, plan::StateArraysOf(GetParam())).moments);
}

// LoRA+: B goes as far as it would with so many times the rate, and nothing else does.
TEST_P(OptimizerTest, AdaptersBMayHaveARateOfItsOwn) {
  const Store plus = Parameters(), slow = Parameters(), fast = Parameters();
  const auto with_ratio = Optimizer::Of(Spec(16), *plus), without = Optimizer::Of(Spec(), *slow),
             faster = Optimizer::Of(Spec(), *fast);
  for (int t = 0; t < 3; ++t) {
    EXPECT_TRUE(with_ratio->Step(1e-3).ok());
    EXPECT_TRUE(without->Step(1e-3).ok());
    EXPECT_TRUE(faster->Step(16e-3).ok());
  }
  for (int i = 0; i < plus->size(); ++i) {
    const bool is_b = plus->name(i).find("lora_B") != std::string::npos;
    EXPECT_TRUE(torch::equal(plus->value(i), (is_b ? fast : slow)->value(i))) << plus->name(i);
  }
}

TEST_P(OptimizerTest, PaddingStaysZero) {
  const Store store = Parameters();
  const auto optimizer = Optimizer::Of(Spec(), *store);
  for (int t = 0; t < 3; ++t) EXPECT_TRUE(optimizer->Step(0.1).ok());
  for (int i = 0; i < store->size(); ++i) {
    const plan::TensorRange& range = store->range(i);
    const int64_t end = range.begin + range.elements;
    const Tensor padding = store->values().narrow(0, end, plan::PaddedOf(range).end - end);
    EXPECT_EQ(padding.abs().sum().item<double>(), 0) << store->name(i);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, OptimizerTest,
                         ::testing::Values("adamw", "paged_adamw", "adamw_8bit", "sgd"));

TEST(OptimizerKinds, APagedAdamWIsAdamWBitForBit) {
  const Store paged = Parameters(), plain = Parameters();
  const auto one = Optimizer::Of({.kind = "paged_adamw", .weight_decay = 0.1}, *paged),
             other = Optimizer::Of({.kind = "adamw", .weight_decay = 0.1}, *plain);
  for (int t = 0; t < 3; ++t) {
    EXPECT_TRUE(one->Step(kRate).ok());
    EXPECT_TRUE(other->Step(kRate).ok());
  }
  EXPECT_TRUE(torch::equal(paged->values(), plain->values()));
}

}  // namespace
}  // namespace ft::optim
