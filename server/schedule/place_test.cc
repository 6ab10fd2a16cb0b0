#include "server/schedule/place.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

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

TEST(Place, AnElasticGangTakesTheMostRanksThatAreFree) {
  Gang gang = CpuGang("g", 8, 1, 1);
  gang.least_ranks = 2;
  const auto ranks_on = [&](std::vector<NodeCapacity> nodes) {
    const Placement placement = Place({gang}, std::move(nodes));
    return placement.assigned.empty() ? size_t{0} : placement.assigned[0].ranks.size();
  };
  EXPECT_EQ(ranks_on({Node("a", 16, 16)}), 8u);
  EXPECT_EQ(ranks_on({Node("a", 16, 7)}), 4u);
  EXPECT_EQ(ranks_on({Node("a", 4, 3), Node("b", 4, 1)}), 4u);
  EXPECT_EQ(ranks_on({Node("a", 16, 3)}), 2u);
  EXPECT_EQ(ranks_on({Node("a", 16, 1)}), 0u);
  EXPECT_EQ(Place({gang}, {Node("a", 16, 1)}).waiting[0].why, Why::kBusy);
  EXPECT_EQ(Place({gang}, {Node("a", 1, 1)}).waiting[0].why, Why::kTooLarge);
  // What it needs is said of the fewest.
  EXPECT_NE(Sentence(gang, Why::kBusy).find("2 ranks of 1 core each"), std::string::npos);
  gang.least_ranks = 0;
  EXPECT_EQ(ranks_on({Node("a", 16, 7)}), 0u);
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
  EXPECT_EQ(away.waiting[0].why, Why::kAway);
  EXPECT_NE(Sentence(gang, Why::kAway).find("node b"), std::string::npos);
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

Gang Preparation(std::string id, int64_t order, int threads = 2) {
  Gang gang = CpuGang(std::move(id), 1, threads, order);
  gang.prepares = true;
  return gang;
}

NodeCapacity Slots(std::string id, int slots, int cores = 4) {
  NodeCapacity node = Node(std::move(id), cores, cores);
  node.free_slots = slots;
  return node;
}

TEST(Place, PreparationTakesASlotAndNoCores) {
  NodeCapacity busy = Slots("a", 1);
  busy.free_cores = 0;
  const Placement result = Place({Preparation("p", 1), Preparation("q", 2)}, {busy});
  EXPECT_EQ(result.assigned.size(), 1u);
  ASSERT_EQ(result.waiting.size(), 1u);
  EXPECT_EQ(result.waiting[0].why, Why::kNoSlot);
  EXPECT_EQ(Place({Preparation("p", 1)}, {}).waiting[0].why, Why::kNoWorker);
}

TEST(OrdinaryPlace, PreparationsGoWhereMostSlotsAreFree) {
  std::vector<Gang> gangs;
  for (int i = 0; i < 6; ++i) gangs.push_back(Preparation("p" + std::to_string(i), i));
  std::map<std::string, int> taken;
  for (const Assignment& one : Place(gangs, {Slots("a", 1), Slots("b", 4), Slots("c", 2)}).assigned)
    ++taken[one.ranks[0].node_id];
  EXPECT_EQ(taken, (std::map<std::string, int>{{"a", 1}, {"b", 4}, {"c", 1}}));
}

TEST(OrdinaryPlace, PreparationsPreferNodesThatCanTrainTheJob) {
  const Placement result = Place({Preparation("p", 1, /*threads=*/8)}, {Slots("a", 4, 4), Slots("b", 1, 8)});
  EXPECT_EQ(result.assigned[0].ranks[0].node_id, "b");
  // With no such node it is prepared all the same: its user learns early what is wrong with the data.
  EXPECT_EQ(Place({Preparation("p", 1, 8)}, {Slots("a", 4, 4)}).assigned.size(), 1u);
}

TEST(OrdinaryPlace, NumbersThatAreFixedNeedTheSameDeviceAndThreads) {
  Gang gang = CpuGang("g", 2, 4, 1);
  gang.arch = "avx512";
  NodeCapacity other = Node("a", 8, 8), six = Node("b", 6, 6);
  other.cpu_arch = "avx2";
  six.cpu_arch = "avx512";
  EXPECT_EQ(Place({gang}, {other}).waiting[0].why, Why::kOtherArch);
  EXPECT_EQ(Place({gang}, {other, six}).waiting[0].why, Why::kTooLarge);
  NodeCapacity same = Node("c", 8, 8);
  same.cpu_arch = "avx512";
  EXPECT_EQ(Place({gang}, {other, six, same}).assigned[0].ranks[1].node_id, "c");
}

TEST(Place, SlotsOfASharedCardAreForGangsOfOneRank) {
  NodeCapacity node = Node("a", 8, 8);
  node.free_gpus = {{"card", 40, "8.0", 0, true}, {"card", 40, "8.0", 1, true}};
  Gang one = CpuGang("one", 1, 1, 1), two = CpuGang("two", 1, 1, 2), three = CpuGang("three", 1, 1, 3),
       pair = CpuGang("pair", 2, 1, 4);
  for (Gang* gang : {&one, &two, &three, &pair}) gang->gpu = true;
  const Placement result = Place({one, two, three, pair}, {node});
  ASSERT_EQ(result.assigned.size(), 2u);
  EXPECT_EQ(result.assigned[1].ranks[0].device_uuids, (std::vector<std::string>{"card"}));
  EXPECT_EQ(result.waiting[0].why, Why::kBusy);
  EXPECT_EQ(result.waiting[1].why, Why::kTooLarge);
  one.device_memory_bytes = 41;  // More than a slot has.
  EXPECT_EQ(Place({one}, {node}).waiting[0].why, Why::kTooLarge);
}

TEST(Place, LeastComputeCapability) {
  Gang gang = CpuGang("g", 1, 1, 1);
  gang.gpu = true;
  gang.least_capability = 8.0;
  NodeCapacity node = Node("a", 8, 8);
  node.free_gpus = {{"old", 80, "7.5"}};
  EXPECT_EQ(Place({gang}, {node}).waiting[0].why, Why::kTooLarge);
  node.free_gpus.push_back({"new", 80, "8.0"});
  EXPECT_EQ(Place({gang}, {node}).assigned[0].ranks[0].device_uuids[0], "new");
}

NodeCapacity Held(std::string id, int cores, std::vector<Holding> holdings) {
  NodeCapacity node = Node(std::move(id), cores, cores);
  for (const Holding& held : holdings) node.free_cores -= held.cores;
  node.holdings = std::move(holdings);
  return node;
}

TEST(OrdinaryPlace, WhatTheFirstThatWaitsWillNeedIsKeptForIt) {
  const std::vector<NodeCapacity> nodes = {Held("a", 8, {{100, 6, {}}})};
  Gang large = CpuGang("large", 1, 8, 1), small = CpuGang("small", 1, 2, 2);
  const Placement kept = Place({large, small}, nodes);
  EXPECT_TRUE(kept.assigned.empty());
  EXPECT_EQ(kept.waiting[0].why, Why::kBusy);
  EXPECT_EQ(kept.waiting[1].why, Why::kReserved);
  // It ends before the large one could start.
  small.takes = 90;
  EXPECT_EQ(Place({large, small}, nodes).assigned.size(), 1u);
  small.takes = 110;
  EXPECT_TRUE(Place({large, small}, nodes).assigned.empty());
}

TEST(OrdinaryPlace, WhatTheReservationLeavesIsGivenAway) {
  // The large gang fits on a first; b is nobody's.
  const std::vector<NodeCapacity> nodes = {Held("a", 8, {{100, 8, {}}}), Held("b", 8, {{500, 6, {}}})};
  const Placement result =
      Place({CpuGang("large", 1, 8, 1), CpuGang("small", 1, 2, 2), CpuGang("more", 1, 2, 3)}, nodes);
  ASSERT_EQ(result.assigned.size(), 1u);
  EXPECT_EQ(result.assigned[0].ranks[0].node_id, "b");
  EXPECT_EQ(result.waiting[1].why, Why::kBusy);
}

TEST(OrdinaryPlace, AGangThatNoNodeCanHoldKeepsNothing) {
  const Placement result =
      Place({CpuGang("huge", 1, 64, 1), CpuGang("small", 1, 2, 2)}, {Held("a", 8, {{100, 6, {}}})});
  ASSERT_EQ(result.assigned.size(), 1u);
  EXPECT_EQ(result.waiting[0].why, Why::kTooLarge);
}

// A gang of all cores of a node, first in the queue, among jobs of one to four cores that keep coming; ends are not known to
// the scheduler. Before reservations it never started.
TEST(OrdinaryPlace, AStarvingGangStartsWithinTheLongestRunningJob) {
  struct Running {
    double started, ends;
    size_t node;
    int cores;
  };
  std::mt19937 random(7);
  std::vector<Running> running;
  std::vector<Gang> queue;
  int64_t order = 0;
  double longest = 0;
  const auto submit = [&](int cores) {
    queue.push_back(CpuGang("j" + std::to_string(order), 1, cores, order));
    ++order;
  };
  for (double now = 0; now < 2000; now += 1) {
    std::erase_if(running, [&](const Running& job) { return job.ends <= now; });
    if (now == 200) {
      submit(8);
      queue.back().job_id = "gang";
      queue.back().order = -1;
      for (const Running& job : running) longest = std::max(longest, job.ends - now);
    }
    while (queue.size() < 20) submit(1 + static_cast<int>(random() % 4));
    std::vector<NodeCapacity> nodes = {Node("n0", 8, 8), Node("n1", 8, 8)};
    for (const Running& job : running) {
      nodes[job.node].free_cores -= job.cores;
      nodes[job.node].holdings.push_back({1e7 - (now - job.started), job.cores, {}});
    }
    for (const Assignment& one : Place(queue, nodes).assigned) {
      if (one.job_id == "gang") {
        EXPECT_LE(now, 200 + longest);
        return;
      }
      running.push_back({now, now + 20 + static_cast<double>(random() % 80),
                         one.ranks[0].node_id == "n0" ? 0u : 1u,
                         one.threads * static_cast<int>(one.ranks.size())});
      std::erase_if(queue, [&](const Gang& gang) { return gang.job_id == one.job_id; });
    }
  }
  FAIL() << "it never started";
}

}  // namespace
}  // namespace ft::schedule
