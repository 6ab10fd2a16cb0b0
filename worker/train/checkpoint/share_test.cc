#include "worker/train/checkpoint/share.h"

#include <gtest/gtest.h>

#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/test_device.h"
#include "worker/model/params/store_fixture.h"

namespace ft::checkpoint {
namespace {

TEST(ShareStateTest, EveryRankGoesOnFromRankZeros) {
  ::ft::testing::SpawnRanks(2, [](comm::Comm& comm) {
    const auto filled = [&](double value) { return torch::full({3, 5}, value + 10 * comm.rank()); };
    const auto store = params::MakeStore({{"w", filled(1), filled(2)}}, TestDevice());
    optim::AdamW optimizer({}, *store);
    store->first_moment(0).copy_(filled(3));
    store->second_moment(0).copy_(filled(4));
    optimizer.set_steps(7 + comm.rank());
    optim::LossScale scale({.initial = comm.rank() == 0 ? 512.0 : 64.0});
    int64_t step = comm.rank() == 0 ? 9 : 0;
    ASSERT_TRUE(ShareState(comm, {optimizer, scale}, step).ok());
    EXPECT_EQ(step, 9);
    EXPECT_EQ(optimizer.steps(), 7);
    EXPECT_EQ(scale.value(), 512);
    EXPECT_TRUE(torch::equal(store->value(0).cpu(), torch::full({3, 5}, 1.0)));
    EXPECT_TRUE(torch::equal(store->first_moment(0).cpu(), torch::full({3, 5}, 3.0)));
    EXPECT_TRUE(torch::equal(store->second_moment(0).cpu(), torch::full({3, 5}, 4.0)));
  });
}

}  // namespace
}  // namespace ft::checkpoint
