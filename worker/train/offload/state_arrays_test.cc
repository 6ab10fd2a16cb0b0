// Arrays on a tier are those that lie with the weights, whatever is done with them.
#include "worker/train/offload/state_arrays.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/train/offload/disk_tier.h"
#include "worker/train/offload/host_tier.h"

namespace ft::offload {
namespace {

using torch::Tensor;

constexpr int64_t kTileWeights = 3 * plan::kGranule;

plan::SliceTable Table() {
  return plan::SliceTable::Of({{"c", {50, 100}, 0}, {"a", {7}, 1}, {"b", {30, 200}, 1}, {"d", {4095}, 2}});
}

struct Kept {
  const char* kind;
  const char* tier;
};

class StateArraysTest : public ::testing::TestWithParam<Kept> {
 protected:
  void SetUp() override {
    if (GetParam().tier == std::string_view("host") && TestDevice().is_cpu())
      GTEST_SKIP() << "the host's memory is where the weights are";
  }
  std::span<const plan::StateArray> arrays() const { return plan::StateArraysOf(GetParam().kind); }
  plan::StateTiles Tiles() const {
    return plan::StateTiles::Of(table_, plan::Share::Whole(table_.elements()), arrays(), kTileWeights);
  }
  ArraysShape Shape() const {
    ArraysShape shape{.arrays = arrays(), .weights = table_.elements(), .device = TestDevice()};
    for (const plan::StateArray& array : arrays())
      shape.items.push_back(
          plan::ArrayLayout::Of(table_, plan::Share::Whole(table_.elements()), array).items());
    return shape;
  }
  std::unique_ptr<StateArrays> OnTier() const {
    if (GetParam().tier == std::string_view("host"))
      return ArraysOnTier(Shape(), MakeHostTier(Tiles(), TestDevice()));
    StatusOr<OpenedTileFile> opened = OpenTileFile(dir_.path(), Tiles().bytes());
    EXPECT_TRUE(opened.ok()) << opened.status();
    return ArraysOnTier(Shape(),
                        MakeDiskTier(Tiles(), std::move(opened->file), {.pinned = !TestDevice().is_cpu()}));
  }
  // All of an array, on the host.
  Tensor All(StateArrays& arrays, size_t array) const {
    const StatusOr<Tensor> read = arrays.Read(array, {0, Shape().items[array]});
    EXPECT_TRUE(read.ok()) << read.status();
    return read->cpu();
  }
  void ExpectEqual(StateArrays& one, StateArrays& other) const {
    for (size_t a = 0; a < arrays().size(); ++a) EXPECT_TRUE(torch::equal(All(one, a), All(other, a))) << a;
  }

  const ft::testing::TempDir dir_;
  const plan::SliceTable table_ = Table();
};

// An update that depends on the item, and on what was there.
Status Update(StateArrays& arrays) {
  return arrays.Visit([](const StatePart& part) {
    for (const StatePart::Items& items : part.items) {
      const Tensor index =
          torch::arange(items.begin, items.begin + items.values.numel(), items.values.device());
      Tensor(items.values).mul_(3).add_((index % 29).to(items.values.scalar_type()));
    }
  });
}

TEST_P(StateArraysTest, UpdatesOfPartsAreUpdatesOfAll) {
  const auto resident = ResidentArrays(Shape()), moved = OnTier();
  ExpectEqual(*moved, *resident);
  const plan::TierBytes before = moved->tier_bytes();
  for (int step = 1; step <= 3; ++step) {
    EXPECT_TRUE(Update(*resident).ok());
    EXPECT_TRUE(Update(*moved).ok());
  }
  const plan::TierBytes after = moved->tier_bytes();
  EXPECT_EQ((plan::TierBytes{after.held, after.read - before.read, after.written - before.written}),
            Tiles().AfterSteps(3));
  ExpectEqual(*moved, *resident);
  EXPECT_EQ(moved->resident_bytes(), 0);
  EXPECT_EQ(resident->tier_bytes(), plan::TierBytes());
}

TEST_P(StateArraysTest, WhatIsWrittenIsReadAndUpdated) {
  const auto resident = ResidentArrays(Shape()), moved = OnTier();
  for (StateArrays* kept : {resident.get(), moved.get()}) {
    for (size_t a = 0; a < arrays().size(); ++a) {
      // Pieces that end within tiles, and span some.
      const int64_t all = Shape().items[a];
      for (int64_t begin = 0; begin < all; begin += 1000) {
        const Tensor items = torch::arange(begin, std::min(begin + 1000, all)).fmod(251);
        EXPECT_TRUE(kept->Write(a, begin, items.to(ScalarTypeOf(arrays()[a].type))).ok());
      }
    }
  }
  ExpectEqual(*moved, *resident);
  EXPECT_TRUE(Update(*resident).ok());
  EXPECT_TRUE(Update(*moved).ok());
  ExpectEqual(*moved, *resident);
}

INSTANTIATE_TEST_SUITE_P(Kinds, StateArraysTest,
                         ::testing::Values(Kept{"adamw", "disk"}, Kept{"adamw_8bit", "disk"},
                                           Kept{"adamw", "host"}, Kept{"adamw_8bit", "host"}),
                         [](const auto& info) { return StrCat(info.param.kind, "_", info.param.tier); });

}  // namespace
}  // namespace ft::offload
