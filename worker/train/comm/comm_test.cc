// One contract, three transports: memory of one process, shared memory of one host, Gloo.
#include "worker/train/comm/comm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <tuple>

#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/temp_dir.h"
#include "worker/train/comm/gloo.h"
#include "worker/train/comm/shm.h"

namespace ft::comm {
namespace {

// LibTorch's flight recorder is one for all Gloo groups of a process, and groups of several threads run over each other in it.
[[maybe_unused]] const int kNoFlightRecorder = ::setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1);

// As in a rank: Gloo writes to the sockets of peers that have gone.
[[maybe_unused]] const auto kOldHandler = ::signal(SIGPIPE, SIG_IGN);

using ::ft::testing::RunRanks;
using ::ft::testing::TempDir;
using ::testing::HasSubstr;

constexpr size_t kSmall =
    1024;  // Bytes of a segment, floats of a chunk: so that small data takes many chunks.

std::span<std::byte> AsBytes(auto& values) { return std::as_writable_bytes(std::span(values)); }

// Groups of ranks that are threads, over one transport.
class Group {
 public:
  Group(std::string transport, int ranks, CommOptions options)
      : transport_(std::move(transport)), ranks_(ranks), options_(std::move(options)) {
    if (transport_ == "memory") ready_ = InProcess(ranks, options_, kSmall);
  }
  // Called by each rank's thread.
  std::unique_ptr<Comm> Connect(int rank) {
    StatusOr<std::unique_ptr<Comm>> joined = TryConnect(rank);
    EXPECT_TRUE(joined.ok()) << joined.status();
    return joined.ok() ? *std::move(joined) : nullptr;
  }

 private:
  StatusOr<std::unique_ptr<Comm>> TryConnect(int rank) {
    if (transport_ == "memory") return std::move(ready_[static_cast<size_t>(rank)]);
    if (transport_ == "shm") {
      return RendezvousShm({.folder = folder_.path(), .rank = rank, .size = ranks_, .capacity = kSmall},
                           options_);
    }
    return RendezvousOverFiles(folder_.path(),
                               {.host = "127.0.0.1", .rank = rank, .size = ranks_, .chunk_floats = kSmall},
                               options_);
  }

  const std::string transport_;
  const int ranks_;
  const CommOptions options_;
  TempDir folder_;
  std::vector<std::unique_ptr<Comm>> ready_;
};

class CommTest : public ::testing::TestWithParam<std::string> {
 protected:
  void Spawn(int ranks, const std::function<void(Comm&)>& fn,
             CommOptions options = {.timeout = std::chrono::seconds(20)}) {
    Group group(GetParam(), ranks, std::move(options));
    RunRanks(ranks, [&](int rank) {
      const std::unique_ptr<Comm> comm = group.Connect(rank);
      if (comm != nullptr) fn(*comm);
    });
  }
};

INSTANTIATE_TEST_SUITE_P(Transports, CommTest, ::testing::Values("memory", "shm", "gloo"),
                         [](const auto& info) { return info.param; });

// Numbers whose sum depends on the order of additions.
std::vector<float> Uneven(int rank, size_t count) {
  std::vector<float> values(count);
  uint32_t state = 77u + static_cast<uint32_t>(rank);
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = std::ldexp(static_cast<float>(state >> 8), static_cast<int>(state % 41) - 40);
  }
  return values;
}

TEST_P(CommTest, AllGatherIsInRankOrderWhateverTheSize) {
  Spawn(3, [](Comm& comm) {
    for (const size_t count : {0u, 1u, 13u, 5000u}) {
      std::vector<uint8_t> mine(count), all(3 * count);
      for (size_t i = 0; i < count; ++i)
        mine[i] = static_cast<uint8_t>(31 * comm.rank() + static_cast<int>(i));
      ASSERT_TRUE(comm.AllGather(AsBytes(mine), AsBytes(all)).ok());
      for (size_t i = 0; i < all.size(); ++i)
        ASSERT_EQ(all[i], static_cast<uint8_t>(31 * (i / count) + i % count)) << count;
    }
  });
}

TEST_P(CommTest, TreeSumHasTheBitsOfTheTree) {
  for (const int ranks : {2, 4}) {
    for (const size_t count : {size_t{1}, size_t{7}, size_t{3000}}) {
      std::vector<std::vector<float>> shares;
      for (int rank = 0; rank < ranks; ++rank) shares.push_back(Uneven(rank, count));
      std::vector<float> expected(count);
      for (size_t i = 0; i < count; ++i) {
        const auto pair = [&](size_t r) { return shares[r][i] + shares[r + 1][i]; };
        expected[i] = ranks == 2 ? pair(0) : pair(0) + pair(2);
      }
      Spawn(ranks, [&](Comm& comm) {
        std::vector<float> values = shares[static_cast<size_t>(comm.rank())];
        ASSERT_TRUE(comm.AllReduceSum(values).ok());
        ASSERT_EQ(std::memcmp(values.data(), expected.data(), count * sizeof(float)), 0) << count;
      });
    }
  }
}

TEST_P(CommTest, BroadcastGivesEveryoneTheRootsBytes) {
  Spawn(3, [](Comm& comm) {
    for (const int root : {0, 2}) {
      std::vector<uint8_t> bytes(2500, static_cast<uint8_t>(comm.rank()));
      ASSERT_TRUE(comm.Broadcast(root, AsBytes(bytes)).ok());
      EXPECT_THAT(bytes, ::testing::Each(static_cast<uint8_t>(root)));
    }
  });
}

TEST_P(CommTest, BarrierHoldsEarlyRanksBack) {
  std::atomic<int> arrived{0};
  Spawn(3, [&](Comm& comm) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20 * comm.rank()));
    ++arrived;
    ASSERT_TRUE(comm.Barrier().ok());
    EXPECT_EQ(arrived.load(), 3);
  });
}

TEST_P(CommTest, WireBytesDependOnOperationsOnly) {
  Spawn(2, [](Comm& comm) {
    std::vector<float> values(1000);
    std::vector<uint8_t> mine(10), all(20);
    ASSERT_TRUE(comm.AllReduceSum(values).ok());
    EXPECT_EQ(comm.wire_bytes().tree_sum,
              4000);  // The peer's half of this rank's chunk, and the peer's chunk.
    ASSERT_TRUE(comm.AllGather(AsBytes(mine), AsBytes(all)).ok());
    EXPECT_EQ(comm.wire_bytes().all_gather, 10);
    ASSERT_TRUE(comm.Broadcast(0, AsBytes(mine)).ok());
    EXPECT_EQ(comm.wire_bytes().broadcast, comm.rank() == 0 ? 0 : 10);
    const std::vector<size_t> counts = {3, 7};
    const size_t own = counts[static_cast<size_t>(comm.rank())];
    ASSERT_TRUE(comm.AllGather(AsBytes(mine).first(own), counts, AsBytes(mine)).ok());
    EXPECT_EQ(comm.wire_bytes().all_gather, 10 + (comm.rank() == 0 ? 7 : 3));
    std::vector<float> sum(own);
    ASSERT_TRUE(comm.ReduceScatterSum(std::span(values).first(10), counts, /*contributors=*/2, sum).ok());
    EXPECT_EQ(comm.wire_bytes().reduce_scatter, static_cast<int64_t>(4 * own));
    // Rank 1 computed nothing: it alone receives.
    ASSERT_TRUE(comm.ReduceScatterSum(std::span(values).first(10), counts, /*contributors=*/1, sum).ok());
    EXPECT_EQ(comm.wire_bytes().reduce_scatter, comm.rank() == 0 ? 12 : 56);
    EXPECT_EQ(comm.wire_bytes().total(), 4000 + (comm.rank() == 0 ? 17 + 12 : 13 + 10 + 56));
  });
}

// Parts that are empty, fit a chunk and take many.
TEST_P(CommTest, UnequalPartsAreGatheredInRankOrder) {
  Spawn(3, [](Comm& comm) {
    for (const std::vector<size_t>& counts :
         std::vector<std::vector<size_t>>{{0, 0, 0}, {0, 5000, 1}, {3000, 0, 700}}) {
      const size_t total = counts[0] + counts[1] + counts[2];
      std::vector<uint8_t> expected, all(total);
      for (size_t rank = 0; rank < 3; ++rank) {
        for (size_t i = 0; i < counts[rank]; ++i) expected.push_back(static_cast<uint8_t>(31 * rank + i));
      }
      size_t begin = 0;
      for (int rank = 0; rank < comm.rank(); ++rank) begin += counts[static_cast<size_t>(rank)];
      // Where it goes to already.
      const size_t own = counts[static_cast<size_t>(comm.rank())];
      std::copy_n(expected.begin() + static_cast<ptrdiff_t>(begin), own,
                  all.begin() + static_cast<ptrdiff_t>(begin));
      ASSERT_TRUE(comm.AllGather(AsBytes(all).subspan(begin, own), counts, AsBytes(all)).ok());
      EXPECT_EQ(all, expected);
      std::vector<uint8_t> apart(expected.begin() + static_cast<ptrdiff_t>(begin),
                                 expected.begin() + static_cast<ptrdiff_t>(begin + own)),
          other(total);
      ASSERT_TRUE(comm.AllGather(AsBytes(apart), counts, AsBytes(other)).ok());
      EXPECT_EQ(other, expected);
    }
  });
}

TEST_P(CommTest, ReduceScatterSumGivesEachRankItsPartOfTheTree) {
  for (const int contributors : {1, 2, 3, 4}) {
    for (const std::vector<size_t>& counts :
         std::vector<std::vector<size_t>>{{1, 1, 1, 1}, {0, 3000, 7, 0}, {900, 1200, 1100, 1}}) {
      const size_t total = counts[0] + counts[1] + counts[2] + counts[3];
      std::vector<std::vector<float>> shares;
      std::vector<const float*> inputs;
      for (int rank = 0; rank < 4; ++rank) shares.push_back(Uneven(rank, total));
      for (int rank = 0; rank < contributors; ++rank)
        inputs.push_back(shares[static_cast<size_t>(rank)].data());
      std::vector<float> expected(total);
      TreeAdd(inputs, total, expected.data());
      Spawn(4, [&](Comm& comm) {
        const size_t own = counts[static_cast<size_t>(comm.rank())];
        size_t begin = 0;
        for (int rank = 0; rank < comm.rank(); ++rank) begin += counts[static_cast<size_t>(rank)];
        std::vector<float> sum(own);
        ASSERT_TRUE(
            comm.ReduceScatterSum(shares[static_cast<size_t>(comm.rank())], counts, contributors, sum).ok());
        ASSERT_EQ(std::memcmp(sum.data(), expected.data() + begin, own * sizeof(float)), 0) << contributors;
      });
    }
  }
}

TEST_P(CommTest, ARankThatLeavesEndsThePeersWaitAndEveryLaterCall) {
  const auto start = std::chrono::steady_clock::now();
  Spawn(3, [](Comm& comm) {
    ASSERT_TRUE(comm.Barrier().ok());
    if (comm.rank() == 2) return;
    std::vector<float> values(10);
    const Status status = comm.AllReduceSum(values);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(std::string(Message(status)),
                HasSubstr(StrCat("rank ", comm.rank(), " of 3: tree sum over")));
    EXPECT_EQ(comm.Barrier(), status);
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST_P(CommTest, ARankThatDoesNotComeIsADeadline) {
  std::atomic<int> ended{0};
  const auto late = [&](Comm& comm) {
    ASSERT_TRUE(comm.Barrier().ok());
    if (comm.rank() == 0) {
      while (ended.load() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return;
    }
    const Status status = comm.Barrier();
    ++ended;
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("barrier over"));
  };
  Spawn(2, late, {.timeout = std::chrono::milliseconds(300)});
}

TEST_P(CommTest, RanksThatLeaveRightAfterTheLastOperationDisturbNobody) {
  for (int round = 0; round < 20; ++round) {
    Spawn(4, [](Comm& comm) {
      std::vector<float> values(500, 1.0f);
      const Status status = comm.AllReduceSum(values);
      ASSERT_TRUE(status.ok()) << status;
      EXPECT_EQ(values[499], 4.0f);
    });
  }
}

TEST_P(CommTest, WaitingRanksSayThatTheyWait) {
  std::atomic<int> looks{0};
  Spawn(2,
        [](Comm& comm) {
          if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(400));
          ASSERT_TRUE(comm.Barrier().ok());
        },
        {.timeout = std::chrono::seconds(20), .waiting = [&](const Wait&) { ++looks; }});
  EXPECT_GE(looks.load(), 2);
}

// A wait names what it waits for: only so can a dead gang be told from a slow one.
TEST_P(CommTest, OrdinaryWaitsNameTheOperationItsNumberAndWhoIsMissing) {
  std::mutex mutex;
  std::vector<std::tuple<std::string, int64_t, int>> waits;
  Spawn(2,
        [](Comm& comm) {
          ASSERT_TRUE(comm.Barrier().ok());
          std::vector<float> values(10);
          if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(400));
          ASSERT_TRUE(comm.AllReduceSum(values).ok());
          if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(400));
          ASSERT_TRUE(comm.Barrier().ok());
        },
        {.timeout = std::chrono::seconds(20), .waiting = [&](const Wait& wait) {
           const std::lock_guard<std::mutex> lock(mutex);
           if (wait.missing == 1) waits.emplace_back(wait.operation, wait.sequence, wait.missing);
         }});
  const auto is = [](std::string_view operation) {
    return [operation](const auto& wait) { return std::get<0>(wait) == operation; };
  };
  const auto sum = std::find_if(waits.begin(), waits.end(), is("tree sum"));
  ASSERT_NE(sum, waits.end());
  EXPECT_GE(std::get<1>(*sum), 2);
  const auto barrier = std::find_if(sum, waits.end(), is("barrier"));
  ASSERT_NE(barrier, waits.end());
  EXPECT_GT(std::get<1>(*barrier), std::get<1>(*sum));
  EXPECT_GE(std::count(waits.begin(), waits.end(), *barrier), 2);  // It stands still while nothing moves.
}

// Transports between processes.
class ProcessCommTest : public CommTest {};

INSTANTIATE_TEST_SUITE_P(Transports, ProcessCommTest, ::testing::Values("shm", "gloo"),
                         [](const auto& info) { return info.param; });

// A process that is killed leaves no word: its peer must find out.
TEST_P(ProcessCommTest, AKilledProcessEndsThePeersWait) {
  Group group(GetParam(), 2, {.timeout = std::chrono::seconds(20)});
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::unique_ptr<Comm> comm = group.Connect(1);
    if (comm == nullptr || !comm->Barrier().ok()) ::_exit(1);
    ::raise(SIGKILL);
  }
  const std::unique_ptr<Comm> comm = group.Connect(0);
  ASSERT_NE(comm, nullptr);
  ASSERT_TRUE(comm->Barrier().ok());
  const auto start = std::chrono::steady_clock::now();
  std::vector<float> values(10);
  const Status status = comm->AllReduceSum(values);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  int exit_status = 0;
  ::waitpid(child, &exit_status, 0);
  EXPECT_TRUE(WIFSIGNALED(exit_status));
}

TEST(SharedMemoryCommTest, ADeadlineSaysHowManyPeersArrived) {
  std::atomic<int> ended{0};
  auto comms = InProcess(3, {.timeout = std::chrono::milliseconds(200)});
  RunRanks(3, [&](int rank) {
    Comm& comm = *comms[static_cast<size_t>(rank)];
    if (rank == 2) {
      while (ended.load() < 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return;
    }
    const Status status = comm.Barrier();
    ++ended;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("rank 2 did not come in time; 1 of 2 peers arrived"));
  });
}

TEST(SharedMemoryCommTest, RanksAtDifferentOperationsAreToldSo) {
  ::ft::testing::SpawnRanks(2, [](Comm& comm) {
    std::vector<float> values(10);
    const Status status = comm.rank() == 0 ? comm.AllReduceSum(values) : comm.Barrier();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
    if (comm.rank() == 1) return;
    EXPECT_THAT(std::string(Message(status)),
                HasSubstr("rank 1 is at a barrier of 0 bytes, this rank at a tree sum of 40"));
  });
}

TEST(ShmTest, AMeetingThatNobodyJoinsSaysHowManyCame) {
  const TempDir folder;
  const auto met = RendezvousShm(
      {.folder = folder.path(), .rank = 0, .size = 3, .timeout = std::chrono::milliseconds(200)}, {});
  EXPECT_EQ(met.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(Message(met.status())), HasSubstr("0 of 2 peers arrived"));
}

TEST(ShmTest, RanksOfDifferentGroupsDoNotMeet) {
  const TempDir folder;
  RunRanks(2, [&](int rank) {
    const auto met = RendezvousShm({.folder = folder.path(),
                                    .rank = rank,
                                    .size = rank == 0 ? 2 : 4,
                                    .timeout = std::chrono::seconds(5)},
                                   {});
    EXPECT_FALSE(met.ok());
    if (rank == 1) return;
    EXPECT_THAT(std::string(Message(met.status())), HasSubstr("rank 1 expects 4 ranks"));
  });
}

TEST(ShmTest, AFolderWithALongPathIsNoObstacle) {
  const TempDir folder;
  const std::filesystem::path deep = folder / std::string(120, 'x') / std::string(120, 'y');
  std::filesystem::create_directories(deep);
  RunRanks(2, [&](int rank) {
    const auto met = RendezvousShm({.folder = deep, .rank = rank, .size = 2, .capacity = kSmall}, {});
    ASSERT_TRUE(met.ok()) << met.status();
    EXPECT_TRUE((*met)->Barrier().ok());
  });
}

TEST(GlooTest, RanksMeetAtADoorOfAFreePort) {
  auto rendezvous = TcpRendezvous::Listen("127.0.0.1");
  ASSERT_TRUE(rendezvous.ok()) << rendezvous.status();
  EXPECT_THAT(rendezvous->address(), HasSubstr("127.0.0.1:"));
  RunRanks(2, [&](int rank) {
    const CommOptions options{.timeout = std::chrono::seconds(20)};
    const auto met = rank == 0 ? rendezvous->Connect({.host = "127.0.0.1", .rank = 0, .size = 2}, options)
                               : ConnectTcp(rendezvous->address(), {.rank = 1, .size = 2}, options);
    ASSERT_TRUE(met.ok()) << met.status();
    std::vector<float> values(3, static_cast<float>(rank + 1));
    ASSERT_TRUE((*met)->AllReduceSum(values).ok());
    EXPECT_EQ(values[2], 3.0f);
  });
}

TEST(GlooTest, AMeetingThatNobodyJoinsEnds) {
  const TempDir folder;
  const auto met = RendezvousOverFiles(
      folder.path(), {.host = "127.0.0.1", .rank = 0, .size = 2, .timeout = std::chrono::milliseconds(300)},
      {});
  EXPECT_EQ(met.status().code(), absl::StatusCode::kDeadlineExceeded) << met.status();
}

TEST(OrdinaryGloo, AFolderThatIsGoneIsAnErrorThatNamesIt) {
  const TempDir folder;
  const auto met = RendezvousOverFiles(
      folder / "gone", {.host = "127.0.0.1", .rank = 0, .size = 2, .timeout = std::chrono::milliseconds(300)},
      {});
  EXPECT_FALSE(met.ok());
  EXPECT_THAT(std::string(Message(met.status())), ::testing::HasSubstr((folder / "gone").string()));
}

TEST(TreeAddTest, AGroupOfOneHasItsOwnNumbers) {
  const std::unique_ptr<Comm> alone = SingleRankComm();
  std::vector<float> values = {1, 2};
  std::vector<uint8_t> mine = {7}, all(1);
  EXPECT_TRUE(alone->AllReduceSum(values).ok() && alone->Barrier().ok());
  EXPECT_TRUE(alone->AllGather(AsBytes(mine), AsBytes(all)).ok());
  EXPECT_EQ(values[1], 2.0f);
  EXPECT_EQ(all[0], 7);
}

TEST(TreeAddTest, PiecesTileTheWhole) {
  for (const size_t count : {0u, 1u, 5u, 1001u}) {
    size_t end = 0;
    for (int part = 0; part < 4; ++part) {
      EXPECT_EQ(ChunkOf(count, part, 4).begin, end);
      end = ChunkOf(count, part, 4).end;
    }
    EXPECT_EQ(end, count);
  }
}

TEST(TreeAddTest, ThreeInputsAddTheFirstTwoFirst) {
  const double big = 9007199254740992.0;  // 2^53: adding 1 to it is lost, adding 2 is not.
  EXPECT_EQ(TreeAdd(std::vector<double>{1, 1, big}), big + 2);
}

}  // namespace
}  // namespace ft::comm
