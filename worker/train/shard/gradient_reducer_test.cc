#include "worker/train/shard/gradient_reducer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>

#include "tests/support/ranks/spawn_ranks.h"

namespace ft::shard {
namespace {

using ::ft::testing::SpawnRanks;

constexpr int64_t kSize = 700;

// The gradient of a micro-batch: numbers whose sum depends on the order.
torch::Tensor MicroBatchGradient(int64_t micro_batch) {
  const torch::Tensor i = torch::arange(kSize, torch::kFloat) + static_cast<double>(micro_batch) * 0.731;
  return torch::sin(i * 12.9898f) * torch::exp2((i * 7.0f).remainder(37.0f) - 20.0f);
}

double MicroBatchLoss(int64_t micro_batch) { return 1.0 / (3.0 + static_cast<double>(micro_batch)); }

struct Outcome {
  torch::Tensor gradient;
  double loss = 0;
  std::vector<int64_t> order;  // Micro-batches as rank 0 computed them.
};

Outcome RunOn(int ranks, int leaves, int64_t micro_batches) {
  Outcome outcome;
  SpawnRanks(ranks, [&](comm::Comm& comm) {
    const torch::Tensor gradient = torch::full({kSize}, 5.0f);  // What a step before left.
    std::vector<int64_t> order;
    GradientReducer reducer(comm, leaves, gradient);
    const StatusOr<double> loss = reducer.Run(micro_batches, [&](int64_t micro_batch) {
      order.push_back(micro_batch);
      torch::Tensor(gradient).add_(MicroBatchGradient(micro_batch));
      return MicroBatchLoss(micro_batch);
    });
    ASSERT_TRUE(loss.ok()) << loss.status();
    if (comm.rank() == ranks - 1) outcome = {gradient, *loss, order};
  });
  return outcome;
}

TEST(GradientReducerTest, OneLeafIsARunningSum) {
  const Outcome outcome = RunOn(1, 1, 5);
  torch::Tensor expected = torch::zeros({kSize});
  double loss = 0;
  for (int64_t micro_batch = 0; micro_batch < 5; ++micro_batch) {
    expected.add_(MicroBatchGradient(micro_batch));
    loss += MicroBatchLoss(micro_batch);
  }
  EXPECT_TRUE(torch::equal(outcome.gradient, expected));
  EXPECT_EQ(outcome.loss, loss);
  EXPECT_THAT(outcome.order, ::testing::ElementsAre(0, 1, 2, 3, 4));
}

TEST(GradientReducerTest, AnyNumberOfRanksGivesTheSameBits) {
  for (const int64_t micro_batches : {0, 1, 3, 4, 13, 16}) {
    const Outcome one = RunOn(1, 8, micro_batches);
    for (const int ranks : {2, 4, 8}) {
      const Outcome many = RunOn(ranks, 8, micro_batches);
      EXPECT_EQ(
          std::memcmp(one.gradient.const_data_ptr(), many.gradient.const_data_ptr(), one.gradient.nbytes()),
          0)
          << micro_batches << " micro-batches on " << ranks << " ranks";
      EXPECT_EQ(one.loss, many.loss);
    }
  }
}

TEST(GradientReducerTest, TheLeavesDecideTheOrderOfAdditions) {
  EXPECT_FALSE(torch::equal(RunOn(1, 1, 16).gradient, RunOn(1, 4, 16).gradient));
}

TEST(GradientReducerTest, SpreadItemsAreKnownToAllInOrder) {
  for (const int ranks : {1, 4}) {
    std::atomic<int> computed{0};
    SpawnRanks(ranks, [&](comm::Comm& comm) {
      GradientReducer reducer(comm, ranks, torch::zeros({4}));
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
    GradientReducer reducer(comm, 2, torch::zeros({4}));
    EXPECT_TRUE(reducer.CheckRanksAgree(std::vector<double>{1.5, std::nan("")}).ok());
    const Status status = reducer.CheckRanksAgree(std::vector<double>{1.5 + comm.rank()});
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(Message(status)), ::testing::HasSubstr("has other sums than rank"));
  });
}

}  // namespace
}  // namespace ft::shard
