// Comm over tensors.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/test_device.h"

namespace ft::comm {
namespace {

torch::Tensor Values(int rank) {
  const torch::Tensor values = torch::arange(1000, torch::kFloat).add_(1).div_(3 + rank);
  return values.to(TestDevice());
}

TEST(TensorsTest, SumsAreThoseOfTheHostWhereverTensorsLie) {
  ::ft::testing::SpawnRanks(4, [](Comm& comm) {
    const torch::Tensor values = Values(comm.rank());
    ASSERT_TRUE(comm.AllReduceSum(values).ok());
    std::vector<torch::Tensor> hosts;
    std::vector<const float*> parts;
    for (int rank = 0; rank < comm.size(); ++rank) {
      hosts.push_back(Values(rank).cpu());
      parts.push_back(hosts.back().const_data_ptr<float>());
    }
    torch::Tensor expected = torch::empty({1000});
    TreeAdd(parts, 1000, expected.mutable_data_ptr<float>());
    EXPECT_TRUE(torch::equal(values.cpu(), expected));
  });
}

TEST(TensorsTest, EveryRankHasTheRootsBytes) {
  ::ft::testing::SpawnRanks(3, [](Comm& comm) {
    const torch::Tensor values = Values(comm.rank());
    ASSERT_TRUE(comm.Broadcast(1, values).ok());
    EXPECT_TRUE(torch::equal(values.cpu(), Values(1).cpu()));
  });
}

TEST(TensorsTest, OneRankAloneKeepsItsValues) {
  const auto comm = SingleRankComm();
  const torch::Tensor values = Values(0);
  ASSERT_TRUE(comm->AllReduceSum(values).ok());
  ASSERT_TRUE(comm->Broadcast(0, values).ok());
  EXPECT_TRUE(torch::equal(values.cpu(), Values(0).cpu()));
}

}  // namespace
}  // namespace ft::comm
