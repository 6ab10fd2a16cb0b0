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
  Tensor values;
  std::vector<Tensor> arrays;  // The optimizer's.
};

recipe::OptimizerSpec SpecOf(const char* kind) { return {.kind = kind, .weight_decay = 0.1}; }

// Three updates of the whole on one rank.
Ending Whole(const char* kind) {
  const auto comm = comm::SingleRankComm();
  const auto store = Store();
  TrainedState state(*comm, {}, *store, SpecOf(kind));
  Ending end;
  for (int step = 1; step <= 3; ++step) {
    FillSums(*store, Flat(10 * step));
    end.norm = state.Measure({})->norm;
    EXPECT_TRUE(state.Update(1e-2, end.norm, 1.0).ok());
  }
  end.values = store->values().cpu();
  for (const optim::StateTensor& array : state.optimizer().state())
    end.arrays.push_back(state.optimizer().ReadItems(array, {0, array.layout.items()})->cpu());
  return end;
}

class TrainedStateKinds : public ::testing::TestWithParam<const char*> {};

TEST_P(TrainedStateKinds, OwnersOfSlicesDoWhatOneRankDoes) {
  const Ending whole = Whole(GetParam());
  const auto everything = [](const plan::StateArray& array) {
    return plan::ArrayLayout::Of(Table(), plan::Share::Whole(Table().elements()), array);
  };
  for (const int ranks : {1, 2, 4}) {
    for (const bool gradients : {false, true}) {
      SpawnRanks(ranks, [&](comm::Comm& comm) {
        const auto store = Store();
        TrainedState state(comm, Sliced(gradients), *store, SpecOf(GetParam()));
        double norm = 0;
        for (int step = 1; step <= 3; ++step) {
          FillSums(*store, Flat(10 * step));
          norm = state.Measure({})->norm;
          ASSERT_TRUE(state.Update(1e-2, norm, 1.0).ok());
        }
        EXPECT_EQ(norm, whole.norm);
        EXPECT_TRUE(torch::equal(store->values().cpu(), whole.values)) << ranks;
        EXPECT_EQ(state.held(), plan::StateOf(store->table(), Sliced(gradients), {comm.rank(), ranks},
                                              plan::StateArraysOf(GetParam())));
        for (size_t a = 0; a < whole.arrays.size(); ++a) {
          const optim::StateTensor& array = state.optimizer().state()[a];
          const plan::ArrayLayout layout = everything(array.array);
          for (int i = 0; i < store->size(); ++i) {
            if (!array.array.IsOf(store->range(i).elements)) continue;
            // What this rank owns of it.
            const Piece own{i, state.OwnedOf(i), &array};
            if (own.items() == 0) continue;
            const StatusOr<Tensor> items = state.Read(own);
            ASSERT_TRUE(items.ok());
            const int64_t first = own.weights.begin / own.weights_per_item();
            const Tensor expected = whole.arrays[a].narrow(0, layout.OfTensor(i).begin + first, own.items());
            EXPECT_TRUE(torch::equal(items->cpu(), expected)) << store->name(i) << array.array.name;
          }
        }
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TrainedStateKinds, ::testing::Values("adamw", "adamw_8bit", "sgd"));

TEST(TrainedStateTest, OfPiecesEveryRankTakesWhatItHas) {
  for (const int ranks : {1, 4}) {
    SpawnRanks(ranks, [&](comm::Comm& comm) {
      const auto store = Store();
      TrainedState state(comm, Sliced(true), *store, SpecOf("adamw_8bit"));
      // Items count up from one number an array and tensor.
      const auto items = [&](const Piece& piece) {
        const int64_t first = piece.weights.begin / piece.weights_per_item();
        return ((torch::arange(first, first + piece.items()) + 7 * piece.tensor) % 251).to(piece.type());
      };
      std::vector<const optim::StateTensor*> arrays = {nullptr};
      for (const optim::StateTensor& array : state.optimizer().state()) arrays.push_back(&array);
      for (const bool write : {true, false}) {
        for (const optim::StateTensor* array : arrays) {
          for (int i = 0; i < store->size(); ++i) {
            const int64_t elements = store->range(i).elements;
            if (array != nullptr && !array->array.IsOf(elements)) continue;
            if (write) {
              // Cut in the middle of what some rank owns.
              const int64_t cut = std::min<int64_t>(elements, 5 * plan::kGranule);
              const Piece first{i, {0, cut}, array}, rest{i, {cut, elements}, array};
              ASSERT_TRUE(state.Write(first, items(first)).ok());
              ASSERT_TRUE(state.Write(rest, items(rest)).ok());
            } else {
              const Piece all{i, {0, elements}, array}, own{i, state.OwnedOf(i), array};
              const Piece& had = state.AllHave(all) ? all : own;
              if (had.items() == 0) continue;
              const StatusOr<Tensor> read = state.Read(had);
              ASSERT_TRUE(read.ok());
              EXPECT_TRUE(torch::equal(read->cpu(), items(had))) << i;
            }
          }
        }
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
