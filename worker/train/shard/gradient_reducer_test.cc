#include "worker/train/shard/gradient_reducer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <mutex>

#include "tests/support/ranks/spawn_ranks.h"
#include "worker/train/shard/first_order_fixture.h"

namespace ft::shard {
namespace {

using ::ft::testing::SpawnRanks;
using recipe::SumOrder;
using torch::Tensor;

// Tensors of three units, one of which trains nothing, cut within tensors and between them.
plan::SliceTable Table() {
  return plan::SliceTable::Of({{"a", {50, 100}, 0}, {"b", {7}, 2}, {"c", {30, 200}, 2}, {"d", {3000}, 3}});
}

// The gradient of a tensor in a micro-batch: numbers whose sum depends on the order.
Tensor GradientOf(const params::ParameterStore& store, int64_t micro_batch, int index) {
  const plan::TensorRange& range = store.range(index);
  const Tensor i = torch::arange(range.elements, torch::kFloat) + static_cast<double>(micro_batch) * 0.731 +
                   static_cast<double>(index) * 100;
  return (torch::sin(i * 12.9898f) * torch::exp2((i * 7.0f).remainder(37.0f) - 20.0f))
      .view(range.tensor.shape);
}

double LossOf(int64_t micro_batch) { return 1.0 / (3.0 + static_cast<double>(micro_batch)); }

// A backward pass: units in falling order, and the tensor of the first one in two uses, as a tied embedding's.
double Pass(const params::ParameterStore& store, int64_t micro_batch, params::GradientSink& sink) {
  const Tensor half = GradientOf(store, micro_batch, 0) / 2;
  sink.Add(0, half);
  sink.Add(3, GradientOf(store, micro_batch, 3));
  sink.EndUnit(3);
  sink.Add(2, GradientOf(store, micro_batch, 2));
  sink.Add(1, GradientOf(store, micro_batch, 1));
  sink.EndUnit(2);
  sink.Add(0, half);
  sink.EndUnit(0);
  return LossOf(micro_batch);
}

struct Outcome {
  Tensor gradient = torch::full({Table().elements()}, 7.0f);  // Whole, from all ranks' shares.
  double loss = 0;
  std::vector<int64_t> order;  // Micro-batches as rank 0 computed them.
};

// The same but for the second use of the first tensor, which reaches few rows: as a gradient of all rows, or of these alone, with the
// first use computed in the sink's room where it has any.
double PassOfRows(const params::ParameterStore& store, int64_t micro_batch, bool alone,
                  params::GradientSink& sink) {
  const Tensor whole = GradientOf(store, micro_batch, 0);
  const Tensor row_U = torch::tensor({1, 2, 40}, torch::kInt64), gradient_UC = whole.index_select(0, row_U);
  const Tensor room = alone ? sink.Room(0) : Tensor();
  if (room.defined()) {
    torch::Tensor(room).add_(whole);
  } else {
    sink.Add(0, whole);
  }
  sink.Add(3, GradientOf(store, micro_batch, 3));
  sink.EndUnit(3);
  if (alone) {
    sink.AddRows(0, row_U, gradient_UC);
  } else {
    sink.Add(0, torch::zeros_like(whole).index_copy_(0, row_U, gradient_UC));
  }
  sink.EndUnit(0);
  return LossOf(micro_batch);
}

// Two steps, so that what the first leaves shows; the outcome is the second's.
Outcome RunOn(int ranks, recipe::Sharding sharding, int64_t micro_batches,
              const std::function<double(const params::ParameterStore&, int64_t, params::GradientSink&)>&
                  pass_of = Pass) {
  Outcome outcome;
  std::mutex mutex;
  SpawnRanks(ranks, [&](comm::Comm& comm) {
    params::ParameterStore store(Table());
    SliceExchange exchange(comm, store.table(), sharding.slices);
    if (sharding.states_sliced) store.Own(exchange.share(), sharding.gradients_sliced);
    GradientReducer reducer(comm, sharding, exchange, store);
    std::vector<int64_t> order;
    const auto pass = [&](int64_t i, params::GradientSink& sink) {
      order.push_back(i);
      return pass_of(store, i, sink);
    };
    ASSERT_TRUE(reducer.Run(3, pass).ok());
    order.clear();
    const StatusOr<double> loss = reducer.Run(micro_batches, pass);
    ASSERT_TRUE(loss.ok()) << loss.status();
    const std::lock_guard lock(mutex);
    for (const plan::Share::Part& part : store.share().parts()) {
      const int64_t elements = part.whole.end - part.whole.begin;
      outcome.gradient.narrow(0, part.whole.begin, elements)
          .copy_(store.gradient_sums().narrow(0, part.begin, elements));
    }
    outcome.loss = *loss;
    if (comm.rank() == 0) outcome.order = order;
  });
  return outcome;
}

recipe::Sharding Order(SumOrder order, int slices, bool sliced) {
  return {.slices = slices,
          .order = order,
          .states_sliced = sliced,
          .gradients_sliced = sliced && order == SumOrder::kMicroBatch};
}

bool SameBits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

// The order of before, on one rank.
Outcome First(int leaves, int64_t micro_batches) {
  const auto comm = comm::SingleRankComm();
  params::ParameterStore store(Table());
  FirstOrder order(*comm, leaves, store.gradients());
  const StatusOr<double> loss = order.Run(micro_batches, [&](int64_t i) { return Pass(store, i, store); });
  EXPECT_TRUE(loss.ok());
  return {store.gradients(), loss.ok() ? *loss : 0, {}};
}

TEST(GradientReducerTest, OneLeafIsARunningSum) {
  const Outcome outcome = RunOn(1, Order(SumOrder::kStep, 1, false), 5);
  params::ParameterStore expected(Table());
  double loss = 0;
  for (int64_t i = 0; i < 5; ++i) loss += Pass(expected, i, expected);
  EXPECT_TRUE(torch::equal(outcome.gradient, expected.gradients()));
  EXPECT_EQ(outcome.loss, loss);
  EXPECT_THAT(outcome.order, ::testing::ElementsAre(0, 1, 2, 3, 4));
}

TEST(GradientReducerTest, OrderStepHasTheBitsThatItHadAlways) {
  for (const int64_t micro_batches : {0, 1, 3, 4, 13, 16}) {
    const Outcome first = First(8, micro_batches);
    for (const int ranks : {1, 2, 4, 8}) {
      for (const bool sliced : {false, true}) {
        const Outcome now = RunOn(ranks, Order(SumOrder::kStep, 8, sliced), micro_batches);
        EXPECT_TRUE(SameBits(first.gradient, now.gradient)) << micro_batches << " on " << ranks;
        EXPECT_EQ(first.loss, now.loss);
      }
    }
  }
}

// A tree over the items: ((0+1)+(2+3))+(4+5).
Tensor TreeOf(const std::vector<Tensor>& items) {
  Tensor sum = torch::empty_like(items[0]);
  std::vector<const float*> inputs;
  for (const Tensor& item : items) inputs.push_back(item.const_data_ptr<float>());
  comm::TreeAdd(inputs, static_cast<size_t>(sum.numel()), sum.mutable_data_ptr<float>());
  return sum;
}

TEST(GradientReducerTest, OrderMicroBatchIsATreeOverRounds) {
  for (const int64_t micro_batches : {1, 3, 4, 5, 6, 7, 8, 13}) {
    Tensor expected;
    double loss = 0;
    for (int64_t round = 0; round < micro_batches; round += 4) {
      std::vector<Tensor> items;
      std::vector<double> losses;
      for (int64_t i = round; i < std::min(round + 4, micro_batches); ++i) {
        params::ParameterStore one(Table());
        losses.push_back(Pass(one, i, one));
        items.push_back(one.gradients());
      }
      expected = round == 0 ? TreeOf(items) : expected + TreeOf(items);
      loss += comm::TreeAdd(losses);
    }
    for (const int ranks : {1, 2, 4}) {
      for (const bool sliced : {false, true}) {
        const Outcome outcome = RunOn(ranks, Order(SumOrder::kMicroBatch, 4, sliced), micro_batches);
        EXPECT_TRUE(SameBits(outcome.gradient, expected)) << micro_batches << " on " << ranks << sliced;
        EXPECT_EQ(outcome.loss, loss);
      }
    }
  }
}

TEST(GradientReducerTest, RoomAndRowsGiveTheBitsOfWholeGradients) {
  const auto pass = [](bool alone) {
    return [alone](const params::ParameterStore& store, int64_t i, params::GradientSink& sink) {
      return PassOfRows(store, i, alone, sink);
    };
  };
  for (const SumOrder order : {SumOrder::kStep, SumOrder::kMicroBatch}) {
    for (const int ranks : {1, 2}) {
      const recipe::Sharding sharding = Order(order, 4, true);
      EXPECT_TRUE(SameBits(RunOn(ranks, sharding, 7, pass(false)).gradient,
                           RunOn(ranks, sharding, 7, pass(true)).gradient))
          << ranks;
    }
  }
}

TEST(GradientReducerTest, NothingToSumIsZero) {
  for (const int ranks : {1, 4}) {
    const Outcome outcome = RunOn(ranks, Order(SumOrder::kMicroBatch, 4, true), 0);
    EXPECT_EQ(outcome.gradient.abs().sum().item<double>(), 0);
    EXPECT_EQ(outcome.loss, 0);
  }
}

TEST(GradientReducerTest, RanksTakeNeighboursOfARound) {
  EXPECT_THAT(RunOn(2, Order(SumOrder::kMicroBatch, 4, true), 6).order, ::testing::ElementsAre(0, 2, 4));
  EXPECT_THAT(RunOn(4, Order(SumOrder::kMicroBatch, 8, true), 11).order, ::testing::ElementsAre(0, 4, 8));
}

// A micro-batch without targets gives nothing, on whichever rank it is; it is an operand of the tree all the same.
TEST(GradientReducerTest, APassWithoutGradientsIsExchangedToo) {
  std::vector<Tensor> by_ranks;
  for (const int ranks : {1, 2, 4}) {
    Tensor gradient = torch::empty({Table().elements()});
    SpawnRanks(ranks, [&](comm::Comm& comm) {
      params::ParameterStore store(Table());
      SliceExchange exchange(comm, store.table(), 4);
      GradientReducer reducer(comm, Order(SumOrder::kMicroBatch, 4, false), exchange, store);
      const auto pass = [&](int64_t i, params::GradientSink& sink) {
        return i == 2 ? 0.0 : Pass(store, i, sink);
      };
      ASSERT_TRUE(reducer.Run(5, pass).ok());
      if (comm.rank() == ranks - 1) gradient.copy_(store.gradients());
    });
    by_ranks.push_back(gradient);
  }
  EXPECT_TRUE(SameBits(by_ranks[0], by_ranks[1]) && SameBits(by_ranks[0], by_ranks[2]));
}

TEST(GradientReducerTest, TheOrdersAndTheirRoundsGiveOtherBits) {
  const Tensor step = RunOn(1, Order(SumOrder::kStep, 4, false), 16).gradient;
  EXPECT_FALSE(torch::equal(RunOn(1, Order(SumOrder::kStep, 1, false), 16).gradient, step));
  const Tensor rounds = RunOn(1, Order(SumOrder::kMicroBatch, 4, false), 16).gradient;
  EXPECT_FALSE(torch::equal(rounds, step));
  EXPECT_TRUE(torch::allclose(rounds, step, 1e-3, 1e-3));
}

TEST(GradientReducerTest, APeerThatLeavesEndsTheStep) {
  SpawnRanks(2, [](comm::Comm& comm) {
    params::ParameterStore store(Table());
    SliceExchange exchange(comm, store.table(), 2);
    GradientReducer reducer(comm, Order(SumOrder::kMicroBatch, 2, false), exchange, store);
    if (comm.rank() == 1) return;
    const auto pass = [&](int64_t i, params::GradientSink& sink) { return Pass(store, i, sink); };
    const Status status = reducer.Run(4, pass).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(std::string(Message(status)), ::testing::HasSubstr("reduce-scatter"));
  });
}

TEST(GradientReducerTest, SpreadItemsAreKnownToAllInOrder) {
  for (const int ranks : {1, 4}) {
    std::atomic<int> computed{0};
    SpawnRanks(ranks, [&](comm::Comm& comm) {
      params::ParameterStore store(Table());
      SliceExchange exchange(comm, store.table(), ranks);
      GradientReducer reducer(comm, Order(SumOrder::kStep, ranks, false), exchange, store);
      const auto items = reducer.DistributedMap(7, [&](int64_t i) {
        ++computed;
        return static_cast<double>(i * i);
      });
      ASSERT_TRUE(items.ok()) << items.status();
      EXPECT_THAT(*items, ::testing::ElementsAre(0, 1, 4, 9, 16, 25, 36));
    });
    EXPECT_EQ(computed.load(), 7);
  }
}

TEST(GradientReducerTest, RanksThatDisagreeAreStopped) {
  SpawnRanks(2, [](comm::Comm& comm) {
    params::ParameterStore store(Table());
    SliceExchange exchange(comm, store.table(), 2);
    GradientReducer reducer(comm, Order(SumOrder::kStep, 2, false), exchange, store);
    EXPECT_TRUE(reducer.CheckRanksAgree(std::vector<double>{1.5, std::nan("")}).ok());
    const Status status = reducer.CheckRanksAgree(std::vector<double>{1.5 + comm.rank()});
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(Message(status)), ::testing::HasSubstr("has other sums than rank"));
  });
}

}  // namespace
}  // namespace ft::shard
