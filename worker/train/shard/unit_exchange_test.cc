// Units that ranks divide: ranks are threads, and each reads what one rank with all weights would.
#include "worker/train/shard/unit_exchange.h"

#include <gtest/gtest.h>

#include <optional>

#include "core/plan/weight_rest.h"
#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/device/staging.h"
#include "worker/model/params/int8_slot.h"
#include "worker/model/params/nf4_slot.h"
#include "worker/model/params/resident_slot.h"
#include "worker/model/params/shared_units.h"
#include "worker/train/offload/disk_weights.h"
#include "worker/train/offload/host_weights.h"

namespace ft::shard {
namespace {

using ::ft::testing::SpawnRanks;
using params::SharedUnits;
using params::UnitLease;
using torch::Tensor;

constexpr int kSlices = 4;

Tensor Random(std::vector<int64_t> shape, int seed) {
  at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(seed));
  return device::Upload(torch::randn(shape, generator), TestDevice());
}

// A unit's frozen weights of every kind, of sizes that no number of ranks divides.
std::vector<ops::SlotPtr> FrozenSlots(int seed) {
  return {std::make_shared<params::Nf4Slot>("nf4", ops::QuantiseNf4(Random({37, 75}, seed))),
          std::make_shared<params::Int8Slot>("int8", ops::QuantiseInt8(Random({13, 41}, seed + 1))),
          std::make_shared<params::ResidentSlot>("bf16", Random({11, 7}, seed + 2).to(at::kBFloat16)),
          std::make_shared<params::ResidentSlot>("norm", Random({5}, seed + 3))};
}

plan::SliceTable Table() {
  return plan::SliceTable::Of(
      {{"a", {50, 100}, 0, 2}, {"b", {7}, 0, 4}, {"c", {30, 200}, 1, 2}, {"d", {3000}, 2, 4}});
}

Tensor ValueOf(const params::ParameterStore& store, int index) {
  return Random(store.range(index).tensor.shape, 100 + index);
}

// A rank's store, values of its share alone.
std::unique_ptr<params::ParameterStore> StoreOf(const plan::RankOf& who) {
  const plan::SliceTable table = Table();
  auto store = std::make_unique<params::ParameterStore>(
      table, plan::Share::Of(plan::Slices(table, kSlices), who), at::kBFloat16, TestDevice());
  for (int i = 0; i < store->size(); ++i) store->SetValue(i, ValueOf(*store, i));
  return store;
}

// Frozen slots of four units, brought by `units`.
std::vector<std::vector<ops::SlotPtr>> Divided(SharedUnits& units) {
  std::vector<std::vector<ops::SlotPtr>> slots;
  for (int unit = 0; unit < 4; ++unit) units.Divide(unit, slots.emplace_back(FrozenSlots(10 * unit)));
  EXPECT_EQ(units.frozen_bytes().size(), 4u);
  return slots;
}

// Each unit's weights are there while it is used, whatever was used before.
void ExpectWhole(SharedUnits& units, const std::vector<std::vector<ops::SlotPtr>>& slots) {
  for (const int unit : {0, 3, 1, 2, 2, 0}) {
    const UnitLease lease(units, unit);
    const std::vector<ops::SlotPtr> whole = FrozenSlots(10 * unit);
    for (size_t i = 0; i < whole.size(); ++i) {
      EXPECT_TRUE(torch::equal(slots[static_cast<size_t>(unit)][i]->Materialise(at::kFloat),
                               whole[i]->Materialise(at::kFloat)))
          << whole[i]->name() << " of unit " << unit;
    }
  }
}

class UnitExchangeTest : public ::testing::TestWithParam<int> {};

TEST_P(UnitExchangeTest, FrozenWeightsOfEveryKindAreWholeWhileTheirUnitIsUsed) {
  SpawnRanks(GetParam(), [](comm::Comm& comm) {
    UnitExchange ranks(comm);
    const auto store = StoreOf(ranks.who());
    SharedUnits units({.ranks = &ranks, .slices = kSlices, .units = true}, *store, /*blocks=*/2);
    const std::vector<std::vector<ops::SlotPtr>> slots = Divided(units);
    int64_t own = 0;
    for (const int64_t of : units.frozen_bytes()) {
      const plan::Extent part = plan::OwnedBytes(of, kSlices, ranks.who());
      own += part.end - part.begin;
    }
    EXPECT_EQ(units.own_frozen_bytes(), own);
    EXPECT_EQ(units.gathered_bytes(), 0);
    ExpectWhole(units, slots);
  });
}

// The tiers of the test's device, each with its folder.
std::vector<std::unique_ptr<params::WeightTier>> Tiers(const ft::testing::TempDir& dir) {
  std::vector<std::unique_ptr<params::WeightTier>> tiers;
  tiers.push_back(offload::MakeDiskWeights(
      [&dir](int64_t bytes, const std::string& what) {
        return offload::OpenTileFile(dir.path(), bytes, what);
      },
      {.pinned = !TestDevice().is_cpu()}));
  if (!TestDevice().is_cpu()) tiers.push_back(offload::MakeHostWeights(TestDevice()));
  return tiers;
}

TEST_P(UnitExchangeTest, SlicesThatRestOnATierAreBroughtTogetherAlike) {
  SpawnRanks(GetParam(), [](comm::Comm& comm) {
    const ft::testing::TempDir dir;
    for (const auto& tier : Tiers(dir)) {
      UnitExchange ranks(comm);
      const auto store = StoreOf(ranks.who());
      SharedUnits units({.ranks = &ranks, .slices = kSlices, .units = true, .tier = tier.get()}, *store,
                        /*blocks=*/2);
      const std::vector<std::vector<ops::SlotPtr>> slots = Divided(units);
      int64_t on_tier = 0;
      for (const int64_t of : units.frozen_bytes()) {
        const plan::Extent part = plan::OwnedBytes(of, kSlices, ranks.who());
        on_tier += plan::OnTier(part.end - part.begin);
      }
      EXPECT_EQ(tier->bytes().held, on_tier);
      EXPECT_EQ(units.own_frozen_bytes(), 0);
      EXPECT_EQ(units.gathered_bytes(), 0);
      ExpectWhole(units, slots);
    }
  });
}

TEST(UnitExchange, AFrozenBaseThatRestsComesToEachRankByItself) {
  const ft::testing::TempDir dir;
  for (const auto& tier : Tiers(dir)) {
    params::ParameterStore store(Table(), TestDevice());
    SharedUnits units({.tier = tier.get()}, store, /*blocks=*/2);
    const std::vector<std::vector<ops::SlotPtr>> slots = Divided(units);
    EXPECT_EQ(tier->bytes().held,
              plan::WeightsOnTier(store.table(), {}, {.frozen_bytes = units.frozen_bytes()}));
    ExpectWhole(units, slots);
    const int64_t gathered = units.gathered_bytes(), read = tier->bytes().read;
    EXPECT_EQ(gathered, units.frozen_bytes()[0] + units.frozen_bytes()[2]);
    units.TrainedChanged();  // The frozen ones are what they were.
    ExpectWhole(units, slots);
    const std::vector<int64_t>& of = units.frozen_bytes();
    EXPECT_EQ(tier->bytes().read - read, of[3] + of[1] + of[2] + of[0]);
  }
}

TEST_P(UnitExchangeTest, CopiesAreTheirOwnersValuesRoundedOnce) {
  for (const bool divides_units : {false, true}) {
    SpawnRanks(GetParam(), [&](comm::Comm& comm) {
      UnitExchange ranks(comm);
      const auto store = StoreOf(ranks.who());
      SharedUnits units({.ranks = &ranks, .slices = kSlices, .units = divides_units}, *store, /*blocks=*/2);
      units.TrainedChanged();
      for (const double factor : {1.0, 3.0}) {
        for (int i = 0; i < store->size() && factor != 1; ++i)
          store->SetValue(i, ValueOf(*store, i) * factor);
        if (factor != 1) units.TrainedChanged();
        for (int i = 0; i < store->size(); ++i) {
          const UnitLease lease(units, store->range(i).tensor.unit);
          const bool exact = store->range(i).tensor.copy_width == 4;
          const params::TrainedSlot slot(*store, i, exact ? at::kFloat : at::kBFloat16);
          const Tensor value = ValueOf(*store, i) * factor;
          EXPECT_TRUE(torch::equal(slot.Materialise(at::kFloat),
                                   exact ? value : value.to(at::kBFloat16).to(at::kFloat)))
              << store->name(i);
        }
      }
    });
  }
}

// Values that rest are rounded as they are written, whatever part of the share that is, and are not read again for it.
TEST_P(UnitExchangeTest, CopiesOfValuesThatRestAreMadeAsTheyAreWritten) {
  SpawnRanks(GetParam(), [](comm::Comm& comm) {
    const ft::testing::TempDir dir;
    for (const auto& tier : Tiers(dir)) {
      UnitExchange ranks(comm);
      const plan::SliceTable table = Table();
      params::ParameterStore store(table, plan::Share::Of(plan::Slices(table, kSlices), ranks.who()),
                                   at::kBFloat16, TestDevice(), tier.get());
      SharedUnits units({.ranks = &ranks, .slices = kSlices, .values = tier.get()}, store, /*blocks=*/2);
      EXPECT_FALSE(units.brings_frozen());
      EXPECT_EQ(store.held().values, plan::CopyBytes(table));
      const auto expect = [&](double factor) {
        const int64_t read = tier->bytes().read;
        units.TrainedChanged();
        EXPECT_EQ(tier->bytes().read, read);
        for (int i = 0; i < store.size(); ++i) {
          const bool exact = store.range(i).tensor.copy_width == 4;
          EXPECT_TRUE(torch::equal(store.weight(i),
                                   (ValueOf(store, i) * factor).to(exact ? at::kFloat : at::kBFloat16)))
              << store.name(i);
        }
      };
      for (int i = 0; i < store.size(); ++i) store.SetValue(i, ValueOf(store, i));
      expect(1);
      // As an update goes: parts that begin and end within tensors.
      for (int64_t begin = 0; begin < store.share().elements(); begin += 700) {
        const int64_t end = std::min<int64_t>(begin + 700, store.share().elements());
        store.WriteShare(begin, store.ReadShare({begin, end}) * 3.0);
      }
      expect(3);
    }
  });
}

TEST_P(UnitExchangeTest, TwoUnitsHaveMemoryAtATime) {
  SpawnRanks(GetParam(), [](comm::Comm& comm) {
    UnitExchange ranks(comm);
    const auto store = StoreOf(ranks.who());
    SharedUnits units({.ranks = &ranks, .slices = kSlices, .units = true}, *store, /*blocks=*/2);
    std::vector<std::vector<ops::SlotPtr>> slots;
    for (int unit = 0; unit < 3; ++unit) units.Divide(unit, slots.emplace_back(FrozenSlots(10 * unit)));
    const auto size = [&](int unit) {
      return units.frozen_bytes()[static_cast<size_t>(unit)] + plan::CopyBytes(store->table(), unit);
    };
    for (const int unit : {0, 1, 2}) {
      const UnitLease lease(units, unit);
    }
    EXPECT_EQ(units.gathered_bytes(), size(1) + size(2));
    for (int unit = 0; unit < 3; ++unit) {
      for (const ops::SlotPtr& slot : slots[static_cast<size_t>(unit)]) {
        for (const Tensor& held : slot->Held())
          EXPECT_EQ(held.storage().data() != nullptr, unit != 0) << slot->name();
      }
    }
    const plan::WireBytes before = comm.wire_bytes();
    { const UnitLease lease(units, 1); }
    EXPECT_EQ(comm.wire_bytes(), before);  // It is here still.
    units.TrainedChanged();
    EXPECT_EQ(units.gathered_bytes(), 0);
    { const UnitLease lease(units, 1); }
    const plan::Extent own = plan::OwnedBytes(units.frozen_bytes()[1], kSlices, ranks.who());
    EXPECT_EQ(
        comm.wire_bytes().all_gather - before.all_gather,
        units.frozen_bytes()[1] - (own.end - own.begin) +
            plan::CopyBytesOfOthers(store->table(), plan::Slices(store->table(), kSlices), 1, ranks.who()));
  });
}

TEST(UnitExchange, APeerThatHasGoneIsAnErrorOfThePassAndNoHang) {
  SpawnRanks(2, [](comm::Comm& comm) {
    if (comm.rank() == 1) return;
    UnitExchange ranks(comm);
    const auto store = StoreOf(ranks.who());
    SharedUnits units({.ranks = &ranks, .slices = kSlices, .units = true}, *store, /*blocks=*/2);
    const Status status = CatchUnavailable([&] {
      const UnitLease lease(units, 0);
      return absl::OkStatus();
    });
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_NE(Message(status).find("rank 0 of 2: all-gather of embedding"), std::string::npos) << status;
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, UnitExchangeTest, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace ft::shard
