#include "server/schedule/place.h"

#include <gtest/gtest.h>

namespace ft::schedule {
namespace {

Gang CpuGang(std::string id, int ranks, int threads, int64_t order, int priority = 0) {
  Gang gang;
  gang.job_id = std::move(id);
  gang.ranks = ranks;
  gang.threads = threads;
  gang.order = order;
  gang.priority = priority;
  return gang;
}

NodeCapacity Node(std::string id, int cores, int free) { return {std::move(id), cores, free, {}}; }

TEST(Place, PriorityThenSubmitOrder) {
  const Placement result =
      Place({CpuGang("late", 1, 2, 2), CpuGang("early", 1, 2, 1), CpuGang("urgent", 1, 2, 3, 9)},
            {Node("a", 4, 4)});
  ASSERT_EQ(result.assigned.size(), 2u);
  EXPECT_EQ(result.assigned[0].job_id, "urgent");
  EXPECT_EQ(result.assigned[1].job_id, "early");
  ASSERT_EQ(result.waiting.size(), 1u);
  EXPECT_EQ(result.waiting[0].job_id, "late");
}

TEST(Place, AGangIsPlacedWholeOrNotAtAll) {
  EXPECT_TRUE(Place({CpuGang("g", 3, 2, 1)}, {Node("a", 4, 4)}).assigned.empty());
  const Placement two = Place({CpuGang("g", 3, 2, 1)}, {Node("a", 4, 4), Node("b", 4, 2)});
  ASSERT_EQ(two.assigned.size(), 1u);
  EXPECT_EQ(two.assigned[0].ranks.size(), 3u);
  EXPECT_EQ(two.assigned[0].ranks[2].node_id, "b");
}

TEST(Place, DefaultThreadsAreTheNodesCoresDividedByItsRanks) {
  const Placement one = Place({CpuGang("g", 1, 0, 1)}, {Node("a", 8, 8)});
  ASSERT_EQ(one.assigned.size(), 1u);
  EXPECT_EQ(one.assigned[0].threads, 8);
  const Placement two = Place({CpuGang("g", 2, 0, 1)}, {Node("a", 8, 8)});
  EXPECT_EQ(two.assigned[0].threads, 4);
}

TEST(Place, SmallerJobBehindAWaitingOneStarts) {
  const Placement result = Place({CpuGang("big", 1, 8, 1), CpuGang("small", 1, 1, 2)}, {Node("a", 8, 2)});
  ASSERT_EQ(result.assigned.size(), 1u);
  EXPECT_EQ(result.assigned[0].job_id, "small");
}

TEST(Place, OnlyWhereItsDataLies) {
  Gang gang = CpuGang("g", 1, 1, 1);
  gang.nodes = {"b"};
  EXPECT_EQ(Place({gang}, {Node("a", 8, 8), Node("b", 8, 8)}).assigned[0].ranks[0].node_id, "b");
  const Placement away = Place({gang}, {Node("a", 8, 8)});
  ASSERT_EQ(away.waiting.size(), 1u);
  EXPECT_NE(away.waiting[0].reason.find("node b"), std::string::npos);
}

TEST(Place, GpuRanksTakeTheSmallestCardThatFits) {
  Gang gang = CpuGang("g", 1, 1, 1);
  gang.gpu = true;
  gang.device_memory_bytes = 10;
  NodeCapacity node = Node("a", 8, 8);
  node.free_gpus = {{"large", 80}, {"small", 20}, {"tiny", 5}};
  const Placement result = Place({gang}, {node});
  ASSERT_EQ(result.assigned.size(), 1u);
  EXPECT_EQ(result.assigned[0].ranks[0].device_uuids, std::vector<std::string>{"small"});
}

TEST(Place, PreparationNeedsANodeButNoCores) {
  Gang gang = CpuGang("g", 1, 4, 1);
  gang.takes_cores = false;
  EXPECT_EQ(Place({gang}, {Node("a", 4, 0)}).assigned.size(), 1u);
  EXPECT_EQ(Place({gang}, {}).waiting[0].reason, "no worker is connected");
}

}  // namespace
}  // namespace ft::schedule
