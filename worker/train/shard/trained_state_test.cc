// Ranks as threads: what each of them owns, put together, is what one rank has.
#include "worker/train/shard/trained_state.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/test_device.h"
#include "worker/train/optim/clip.h"

namespace ft::shard {
namespace {

using ::ft::testing::SpawnRanks;
using torch::Tensor;

plan::SliceTable Table() {
  return plan::SliceTable::Of({{"c", {50, 100}, 0}, {"a", {7}, 1}, {"b", {30, 200}, 1}, {"d", {3000}, 2}});
}

recipe::Sharding Sliced(bool gradients) {
  return {.slices = 4,
          .order = gradients ? recipe::SumOrder::kMicroBatch : recipe::SumOrder::kStep,
          .states_sliced = true,
          .gradients_sliced = gradients};
}

Tensor Flat(int seed) {
  at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(seed));
  Tensor flat = torch::zeros({Table().elements()});
  const plan::SliceTable table = Table();
  for (const plan::TensorRange& range : table.ranges())
    flat.narrow(0, range.begin, range.elements).copy_(torch::randn({range.elements}, generator));
  return flat;
}

// A store of these values that is given the step's summed gradients.
std::unique_ptr<params::ParameterStore> Store() {
  auto store = std::make_unique<params::ParameterStore>(Table(), TestDevice());
  store->values().copy_(Flat(1));
  return store;
}

void FillSums(params::ParameterStore& store, const Tensor& gradients) {
  for (const plan::Share::Part& part : store.share().parts()) {
    const int64_t elements = part.whole.end - part.whole.begin;
    store.gradient_sums()
        .narrow(0, part.begin, elements)
        .copy_(gradients.narrow(0, part.whole.begin, elements));
  }
}

struct Ending {
  double norm = 0;
  Tensor values, first, second;
};

// Three updates of the whole on one rank.
Ending Whole() {
  const auto comm = comm::SingleRankComm();
  const auto store = Store();
  TrainedState state(*comm, {}, *store, {.weight_decay = 0.1});
  Ending end;
  for (int step = 1; step <= 3; ++step) {
    FillSums(*store, Flat(10 * step));
    end.norm = state.Measure({})->norm;
    EXPECT_TRUE(state.Update(1e-2, end.norm, 1.0).ok());
  }
  end.values = store->values().cpu();
  end.first = store->first_moments().cpu();
  end.second = store->second_moments().cpu();
  return end;
}

TEST(TrainedStateTest, OwnersOfSlicesDoWhatOneRankDoes) {
  const Ending whole = Whole();
  for (const int ranks : {1, 2, 4}) {
    for (const bool gradients : {false, true}) {
      SpawnRanks(ranks, [&](comm::Comm& comm) {
        const auto store = Store();
        TrainedState state(comm, Sliced(gradients), *store, {.weight_decay = 0.1});
        double norm = 0;
        for (int step = 1; step <= 3; ++step) {
          FillSums(*store, Flat(10 * step));
          norm = state.Measure({})->norm;
          ASSERT_TRUE(state.Update(1e-2, norm, 1.0).ok());
        }
        EXPECT_EQ(norm, whole.norm);
        EXPECT_TRUE(torch::equal(store->values().cpu(), whole.values)) << ranks;
        EXPECT_EQ(store->held(), plan::StateOf(store->table(), Sliced(gradients), {comm.rank(), ranks}));
        for (int i = 0; i < store->size(); ++i) {
          const plan::TensorRange& range = store->range(i);
          const auto is_whole = [&](const Tensor& moments, const Tensor& expected) {
            const StatusOr<Tensor> moment = state.WholeMoment(moments, i);
            return moment.ok() &&
                   torch::equal(moment->cpu(), expected.narrow(0, range.begin, range.elements));
          };
          EXPECT_TRUE(is_whole(store->first_moments(), whole.first)) << store->name(i);
          EXPECT_TRUE(is_whole(store->second_moments(), whole.second)) << store->name(i);
        }
      });
    }
  }
}

TEST(TrainedStateTest, MomentsOfRankZeroGoToTheirOwners) {
  for (const int ranks : {1, 4}) {
    SpawnRanks(ranks, [&](comm::Comm& comm) {
      const auto store = Store();
      TrainedState state(comm, Sliced(true), *store, {});
      for (int i = 0; i < store->size(); ++i) {
        const Tensor tensor =
            torch::full({store->range(i).elements}, comm.rank() == 0 ? 1.0f + static_cast<float>(i) : 0.0f);
        ASSERT_TRUE(state.ShareMoment(tensor, i, store->first_moments()).ok());
      }
      for (int i = 0; i < store->size(); ++i) {
        const StatusOr<Tensor> moment = state.WholeMoment(store->first_moments(), i);
        ASSERT_TRUE(moment.ok());
        EXPECT_TRUE(torch::equal(moment->cpu(),
                                 torch::full({store->range(i).elements}, 1.0f + static_cast<float>(i))));
      }
    });
  }
}

TEST(TrainedStateTest, WhatOneOwnerSeesAllDecideOn) {
  SpawnRanks(4, [](comm::Comm& comm) {
    const auto store = Store();
    TrainedState state(comm, Sliced(true), *store, {});
    FillSums(*store, Flat(3));
    EXPECT_EQ(*state.FirstNonFinite(), "");
    const optim::LossScale scale({.initial = 1024});
    EXPECT_FALSE(state.Measure(scale)->overflow);
    // The last element of "d" is rank 3's.
    Tensor gradients = Flat(3);
    gradients[store->range(3).begin + 2999] = std::numeric_limits<float>::infinity();
    FillSums(*store, gradients);
    EXPECT_EQ(*state.FirstNonFinite(), "d");
    const StatusOr<Measured> measured = state.Measure(scale);
    EXPECT_TRUE(measured->overflow);
    EXPECT_FALSE(std::isfinite(measured->norm));
  });
}

}  // namespace
}  // namespace ft::shard
