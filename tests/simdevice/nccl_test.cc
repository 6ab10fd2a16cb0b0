// Comm's operations over tensors of simulated devices, through host memory and over the fake NCCL: one contract, the same bits. Ranks are
// threads, each with a device of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <torch/types.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>
#include <tuple>

#include "tests/simdevice/fake_nccl.h"
#include "tests/simdevice/test_device.h"
#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/temp_dir.h"
#include "worker/train/comm/gloo.h"
#include "worker/train/comm/nccl.h"
#include "worker/train/comm/shm.h"
#include "worker/train/cuda/cuda_library.h"

namespace ft::comm {
namespace {

// LibTorch's flight recorder is one for all Gloo groups of a process, and groups of several threads run over each other in it.
[[maybe_unused]] const int kNoFlightRecorder = ::setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1);
// As ranks do: a peer that has gone is an error of the exchange and no signal.
[[maybe_unused]] const auto kOldHandler = ::signal(SIGPIPE, SIG_IGN);

using ::ft::testing::RunRanks;
using ::ft::testing::TempDir;
using simdevice::Gpu;
using ::testing::HasSubstr;
using torch::Tensor;

constexpr size_t kPiece = 1000;  // Floats that go at a time: so that small data takes several pieces.

// How the ranks meet, and whether their devices exchange by themselves.
struct Way {
  const char* meeting;
  bool nccl;
};

class DeviceCommTest : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    const Status opened = cuda::OpenCudaLibrary(FT_SIM_LIBRARY);
    ASSERT_TRUE(opened.ok()) << opened;
  }

  void Spawn(int ranks, const std::function<void(Comm&)>& fn,
             CommOptions options = {.timeout = std::chrono::seconds(20)}) {
    const TempDir folder;
    auto in_process = InProcess(ranks, options);
    RunRanks(ranks, [&](int rank) {
      const c10::DeviceGuard guard(Gpu(static_cast<c10::DeviceIndex>(rank)));
      std::unique_ptr<Comm> comm = Meet(folder.path(), ranks, rank, options, in_process);
      ASSERT_NE(comm, nullptr);
      if (GetParam().nccl) {
        auto connected = ConnectNccl(*comm, *cuda::CudaTable().nccl, Gpu(static_cast<c10::DeviceIndex>(rank)),
                                     {.timeout = std::chrono::seconds(10), .piece_floats = kPiece});
        ASSERT_TRUE(connected.ok()) << connected.status();
        comm->ExchangeOnDevices(*std::move(connected));
      }
      fn(*comm);
    });
  }

  static std::unique_ptr<Comm> Meet(const std::filesystem::path& folder, int ranks, int rank,
                                    const CommOptions& options,
                                    std::vector<std::unique_ptr<Comm>>& in_process) {
    const std::string meeting = GetParam().meeting;
    if (meeting == "memory") return std::move(in_process[static_cast<size_t>(rank)]);
    auto met = meeting == "shm"
                   ? RendezvousShm({.folder = folder, .rank = rank, .size = ranks}, options)
                   : RendezvousOverFiles(folder, {.host = "127.0.0.1", .rank = rank, .size = ranks}, options);
    EXPECT_TRUE(met.ok()) << met.status();
    return met.ok() ? *std::move(met) : nullptr;
  }
};

INSTANTIATE_TEST_SUITE_P(Transports, DeviceCommTest,
                         ::testing::Values(Way{"memory", false}, Way{"shm", false}, Way{"gloo", false},
                                           Way{"memory", true}, Way{"shm", true}, Way{"gloo", true}),
                         [](const auto& info) {
                           return StrCat(info.param.meeting, info.param.nccl ? "_nccl" : "_staged");
                         });

// On the host; sums of them depend on the order of additions.
Tensor Uneven(int rank, int64_t count) {
  Tensor values = torch::empty({count});
  uint32_t state = 77u + static_cast<uint32_t>(rank);
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values.mutable_data_ptr<float>()[i] =
        std::ldexp(static_cast<float>(state >> 8), static_cast<int>(state % 41) - 40);
  }
  return values;
}

Tensor OnDevice(const Tensor& host, const Comm& comm) {
  return host.to(Gpu(static_cast<c10::DeviceIndex>(comm.rank())));
}

Tensor TreeOf(int ranks, int64_t count) {
  std::vector<Tensor> shares;
  std::vector<const float*> inputs;
  for (int rank = 0; rank < ranks; ++rank) shares.push_back(Uneven(rank, count));
  for (const Tensor& share : shares) inputs.push_back(share.const_data_ptr<float>());
  Tensor sum = torch::empty({count});
  TreeAdd(inputs, static_cast<size_t>(count), sum.mutable_data_ptr<float>());
  return sum;
}

TEST_P(DeviceCommTest, TreeSumHasTheBitsOfTheTree) {
  for (const int ranks : {2, 3, 4}) {
    Spawn(ranks, [&](Comm& comm) {
      for (const int64_t count : {1, 7, 1000, 3001, 20000}) {
        const Tensor values = OnDevice(Uneven(comm.rank(), count), comm);
        const Status status = comm.AllReduceSum(values);
        ASSERT_TRUE(status.ok()) << status;
        ASSERT_TRUE(torch::equal(values.cpu(), TreeOf(ranks, count))) << count << " of " << ranks;
      }
    });
  }
}

TEST_P(DeviceCommTest, ASumReadsWhatTheStreamIsToComputeFirstAndIsReadBehind) {
  Spawn(2, [](Comm& comm) {
    const Tensor values = OnDevice(torch::ones({2500}), comm).mul_(3);  // Not computed yet.
    ASSERT_TRUE(comm.AllReduceSum(values).ok());
    EXPECT_TRUE(torch::equal((values + 1).cpu(), torch::full({2500}, 7.0f)));
  });
}

TEST_P(DeviceCommTest, BroadcastGivesEveryoneTheRootsBytes) {
  Spawn(3, [](Comm& comm) {
    for (const int root : {0, 2}) {
      const Tensor values = OnDevice(torch::full({100000}, comm.rank(), torch::kInt64), comm);
      ASSERT_TRUE(comm.Broadcast(root, values).ok());
      EXPECT_TRUE(torch::equal(values.cpu(), torch::full({100000}, root, torch::kInt64)));
      ASSERT_TRUE(comm.Broadcast(root, OnDevice(torch::empty({0}), comm)).ok());
    }
  });
}

// Parts that are empty, equal and unequal; where they go to already, apart, and in host memory.
TEST_P(DeviceCommTest, UnequalPartsAreGatheredInRankOrder) {
  using Counts = std::vector<size_t>;
  Spawn(3, [](Comm& comm) {
    const auto rank = static_cast<size_t>(comm.rank());
    for (const Counts& counts : {Counts{0, 0, 0}, {400, 400, 400}, {0, 30000, 1}, {3000, 0, 700}}) {
      const auto own = static_cast<int64_t>(counts[rank]);
      const auto begin =
          static_cast<int64_t>(std::accumulate(counts.begin(), counts.begin() + comm.rank(), 0u));
      const Tensor expected =
          torch::arange(static_cast<int64_t>(counts[0] + counts[1] + counts[2]), torch::kInt64);
      const Tensor part = expected.narrow(0, begin, own);
      const auto gathered = [&](const char* place, const Tensor& mine, const Tensor& all) {
        const Status status = comm.AllGather(mine, counts, all);
        ASSERT_TRUE(status.ok()) << status;
        EXPECT_TRUE(torch::equal(all.cpu(), expected)) << place << " of " << counts[1];
      };
      const Tensor all = OnDevice(torch::zeros_like(expected), comm);
      const Tensor place = all.narrow(0, begin, own);
      place.copy_(part);
      gathered("in place", place, all);
      gathered("apart", OnDevice(part, comm), torch::empty_like(all));
      gathered("in host memory", part.clone(), torch::empty_like(all));
      gathered("on the host", part.clone(), torch::empty_like(expected));
    }
  });
}

TEST_P(DeviceCommTest, AGatherReadsWhatTheStreamIsToComputeFirst) {
  Spawn(2, [](Comm& comm) {
    const std::vector<size_t> counts = {700, 1800};
    const auto own = static_cast<int64_t>(counts[static_cast<size_t>(comm.rank())]);
    const Tensor mine = OnDevice(torch::ones({own}), comm).mul_(3);  // Not computed yet.
    const Tensor all = torch::empty({2500}, mine.options());
    ASSERT_TRUE(comm.AllGather(mine, counts, all).ok());
    EXPECT_TRUE(torch::equal((all + 1).cpu(), torch::full({2500}, 4.0f)));
  });
}

// Parts of several pieces, of one and of none; what ranks that do not contribute have is no number.
TEST_P(DeviceCommTest, ReduceScatterSumGivesEachRankItsPartOfTheTree) {
  using Counts = std::vector<size_t>;
  Spawn(4, [](Comm& comm) {
    for (const int contributors : {1, 2, 3, 4}) {
      for (const Counts& counts : {Counts{1, 1, 1, 1}, {0, 3000, 7, 0}, {900, 1200, 1100, 1}, {0, 0, 0, 0}}) {
        const auto total = static_cast<int64_t>(std::accumulate(counts.begin(), counts.end(), size_t{0}));
        const auto own = static_cast<int64_t>(counts[static_cast<size_t>(comm.rank())]);
        const auto begin =
            static_cast<int64_t>(std::accumulate(counts.begin(), counts.begin() + comm.rank(), size_t{0}));
        const Tensor values = OnDevice(comm.rank() < contributors
                                           ? Uneven(comm.rank(), total)
                                           : torch::full({total}, std::numeric_limits<float>::quiet_NaN()),
                                       comm);
        const Tensor sum = torch::empty({own}, values.options());
        const Status status = comm.ReduceScatterSum(values, counts, contributors, sum);
        ASSERT_TRUE(status.ok()) << status;
        ASSERT_TRUE(torch::equal(sum.cpu(), TreeOf(contributors, total).narrow(0, begin, own)))
            << counts[1] << " over " << contributors;
      }
    }
  });
}

TEST_P(DeviceCommTest, WhatLiesInHostMemoryGoesAsEver) {
  Spawn(2, [](Comm& comm) {
    const Tensor values = torch::full({10}, 2.0f);
    ASSERT_TRUE(comm.AllReduceSum(values).ok());
    EXPECT_TRUE(torch::equal(values, torch::full({10}, 4.0f)));
  });
}

TEST_P(DeviceCommTest, WireBytesDependOnOperationsOnly) {
  Spawn(2, [](Comm& comm) {
    const int64_t before = comm.wire_bytes().total();  // What meeting took.
    ASSERT_TRUE(comm.AllReduceSum(OnDevice(torch::ones({1000}), comm)).ok());
    EXPECT_EQ(comm.wire_bytes().total() - before, 4000);
    ASSERT_TRUE(comm.Broadcast(0, OnDevice(torch::ones({10}), comm)).ok());
    EXPECT_EQ(comm.wire_bytes().total() - before, comm.rank() == 0 ? 4000 : 4040);
    const std::vector<size_t> counts = {3, 7};
    const auto own = static_cast<int64_t>(counts[static_cast<size_t>(comm.rank())]);
    const Tensor mine = OnDevice(torch::ones({own}), comm), all = OnDevice(torch::ones({10}), comm);
    const int64_t gathers = comm.wire_bytes().all_gather;
    ASSERT_TRUE(comm.AllGather(mine, counts, all).ok());
    EXPECT_EQ(comm.wire_bytes().all_gather - gathers, comm.rank() == 0 ? 28 : 12);
    ASSERT_TRUE(comm.ReduceScatterSum(all, counts, /*contributors=*/2, mine).ok());
    EXPECT_EQ(comm.wire_bytes().reduce_scatter, 4 * own);
    // Rank 1 computed nothing: it alone receives.
    ASSERT_TRUE(comm.ReduceScatterSum(all, counts, /*contributors=*/1, mine).ok());
    EXPECT_EQ(comm.wire_bytes().reduce_scatter, comm.rank() == 0 ? 12 : 56);
  });
}

TEST_P(DeviceCommTest, ARankThatLeavesEndsThePeersWaitAndEveryLaterCall) {
  const auto start = std::chrono::steady_clock::now();
  Spawn(3, [](Comm& comm) {
    ASSERT_TRUE(comm.Barrier().ok());
    if (comm.rank() == 2) return;
    const Tensor values = OnDevice(torch::ones({10}), comm);
    const Status status = comm.AllReduceSum(values);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(std::string(Message(status)),
                HasSubstr(StrCat("rank ", comm.rank(), " of 3: tree sum over ")));
    EXPECT_EQ(comm.Broadcast(0, values), status);
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST_P(DeviceCommTest, ARankThatDoesNotComeIsADeadline) {
  std::atomic<int> ended{0};
  const auto late = [&](Comm& comm) {
    ASSERT_TRUE(comm.Barrier().ok());
    if (comm.rank() == 0) {
      while (ended.load() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return;
    }
    const Status status = comm.AllReduceSum(OnDevice(torch::ones({10}), comm));
    ++ended;
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  };
  Spawn(2, late, {.timeout = std::chrono::milliseconds(500)});
}

TEST_P(DeviceCommTest, RanksThatLeaveRightAfterTheLastOperationDisturbNobody) {
  for (int round = 0; round < 10; ++round) {
    Spawn(4, [](Comm& comm) {
      const Tensor values = OnDevice(torch::ones({500}), comm);
      const Status status = comm.AllReduceSum(values);
      ASSERT_TRUE(status.ok()) << status;
      EXPECT_EQ(values[499].item<float>(), 4.0f);
    });
  }
}

TEST_P(DeviceCommTest, OrdinaryWaitsNameTheOperationItsNumberAndWhoIsMissing) {
  std::mutex mutex;
  std::vector<std::tuple<std::string, int64_t, int>> waits;
  Spawn(2,
        [](Comm& comm) {
          if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(400));
          const Status status = comm.AllReduceSum(OnDevice(torch::ones({10}), comm));
          ASSERT_TRUE(status.ok()) << status;
          if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(400));
          const Tensor mine = OnDevice(torch::ones({comm.rank() + 1}), comm),
                       all = torch::empty({3}, mine.options());
          ASSERT_TRUE(comm.AllGather(mine, std::vector<size_t>{1, 2}, all, "block.3").ok());
        },
        {.timeout = std::chrono::seconds(20), .waiting = [&](const Wait& wait) {
           const std::lock_guard<std::mutex> lock(mutex);
           waits.emplace_back(wait.operation, wait.sequence, wait.missing);
         }});
  EXPECT_THAT(waits, ::testing::Contains(::testing::FieldsAre("tree sum", ::testing::Gt(0), 1)));
  EXPECT_THAT(waits, ::testing::Contains(::testing::FieldsAre("all-gather of block.3", ::testing::Gt(0), 1)));
}

// What only NCCL's own way has.
class NcclTest : public DeviceCommTest {};

INSTANTIATE_TEST_SUITE_P(Transports, NcclTest, ::testing::Values(Way{"memory", true}, Way{"gloo", true}),
                         [](const auto& info) { return std::string(info.param.meeting); });

// NCCL as it was found, but for what a test puts in the place of one of its functions.
const cuda::NcclApi& Real() { return simdevice::FakeNccl(); }

// An operation of the first rank and of others that have nothing of it.
Status ScatterToRank0(Comm& comm) {
  const Tensor values = OnDevice(torch::ones({10}), comm);
  return comm.ReduceScatterSum(values, std::vector<size_t>{10, 0}, /*contributors=*/2,
                               values.new_empty({comm.rank() == 0 ? 10 : 0}));
}

// A rank whose communicator fails in the middle of an exchange.
TEST_P(NcclTest, APeerThatAbortsInTheMiddleIsNamed) {
  struct Case {
    void (*break_down)(cuda::NcclApi&);
    Status (*exchange)(Comm&);
  };
  const Case cases[] = {
      {[](cuda::NcclApi& nccl) {
         nccl.all_gather = [](const void*, void*, size_t, cuda::NcclCommunicator communicator, void*) {
           Real().abort(communicator);
           return cuda::kNcclInternalError;
         };
       },
       [](Comm& comm) { return comm.AllReduceSum(OnDevice(torch::ones({10}), comm)); }},
      {[](cuda::NcclApi& nccl) {
         nccl.send = [](const void*, size_t, int, cuda::NcclCommunicator communicator, void*) {
           Real().abort(communicator);
           return cuda::kNcclInternalError;
         };
       },
       ScatterToRank0}};
  for (const Case& broken : cases) {
    cuda::NcclApi nccl = Real();
    broken.break_down(nccl);
    const auto start = std::chrono::steady_clock::now();
    Spawn(2, [&](Comm& comm) {
      auto connected =
          ConnectNccl(comm, comm.rank() == 1 ? nccl : Real(), Gpu(static_cast<c10::DeviceIndex>(comm.rank())),
                      {.timeout = std::chrono::seconds(10)});
      ASSERT_TRUE(connected.ok()) << connected.status();
      comm.ExchangeOnDevices(*std::move(connected));
      const Status status = broken.exchange(comm);
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
      const ::testing::Matcher<std::string> gone =
          ::testing::AnyOf(HasSubstr("NCCL says: remote process exited"), HasSubstr("rank 1 has left"));
      const ::testing::Matcher<std::string> own = HasSubstr("NCCL says: internal error");
      EXPECT_THAT(std::string(Message(status)), comm.rank() == 1 ? own : gone);
    });
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
}

// What the exchange takes of the device is a piece, however long the parts are.
TEST_P(NcclTest, AScatterTakesAPieceOfTheDevicesMemory) {
  Spawn(2, [](Comm& comm) {
    const std::vector<size_t> counts = {60000, 40000};
    const Tensor values = OnDevice(torch::ones({100000}), comm);
    const Tensor own =
        torch::empty({static_cast<int64_t>(counts[static_cast<size_t>(comm.rank())])}, values.options());
    c10::DeviceAllocator& allocator = *c10::getDeviceAllocator(at::kCUDA);
    const auto device = static_cast<c10::DeviceIndex>(comm.rank());
    const auto most = [&] { return allocator.getDeviceStats(device).allocated_bytes[0]; };
    const int64_t before = most().current;
    allocator.resetPeakStats(device);
    ASSERT_TRUE(comm.ReduceScatterSum(values, counts, /*contributors=*/2, own).ok());
    EXPECT_GT(most().peak, before);
    EXPECT_LE(most().peak - before, static_cast<int64_t>(kPiece * sizeof(float)) + 1024);
  });
}

TEST_P(NcclTest, ADeviceThatComesToNoEndIsADeadline) {
  cuda::NcclApi nccl = Real();
  nccl.all_gather = [](const void*, void*, size_t, cuda::NcclCommunicator, void*) {
    return cuda::kNcclSuccess;
  };
  std::atomic<bool> ended{false};
  Spawn(2,
        [&](Comm& comm) {
          auto connected = ConnectNccl(comm, comm.rank() == 1 ? nccl : Real(),
                                       Gpu(static_cast<c10::DeviceIndex>(comm.rank())),
                                       {.timeout = std::chrono::seconds(10)});
          ASSERT_TRUE(connected.ok()) << connected.status();
          comm.ExchangeOnDevices(*std::move(connected));
          if (comm.rank() == 1) {
            EXPECT_FALSE(comm.AllReduceSum(OnDevice(torch::ones({10}), comm)).ok());
            while (!ended) std::this_thread::sleep_for(std::chrono::milliseconds(5));
            return;
          }
          const Status status = comm.AllReduceSum(OnDevice(torch::ones({10}), comm));
          ended = true;
          EXPECT_THAT(
              std::string(Message(status)),
              ::testing::AnyOf(HasSubstr("did not end the exchange in time"), HasSubstr("rank 1 has left")));
        },
        {.timeout = std::chrono::milliseconds(500)});
}

TEST_P(NcclTest, WhereOneRankCannotJoinNoneDoesAndAllSayWhich) {
  cuda::NcclApi nccl = Real();
  nccl.init_rank = [](cuda::NcclCommunicator*, int, const cuda::NcclUniqueId&, int) {
    return cuda::kNcclInvalidArgument;
  };
  nccl.last_error = [](cuda::NcclCommunicator) { return "no interface eth9"; };
  nccl.abort = nccl.destroy = [](cuda::NcclCommunicator) { return cuda::kNcclSuccess; };
  Spawn(2, [&](Comm& comm) {
    const auto connected =
        ConnectNccl(comm, comm.rank() == 1 ? nccl : Real(), Gpu(static_cast<c10::DeviceIndex>(comm.rank())),
                    {.timeout = std::chrono::milliseconds(300)});
    EXPECT_EQ(connected.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(Message(connected.status())), HasSubstr("cannot join over nccl: "));
    EXPECT_THAT(std::string(Message(connected.status())),
                ::testing::AnyOf(HasSubstr("no interface eth9"), HasSubstr("in time")));
  });
}

// The negative control: whoever exchanges on a stream that does not wait for the one that computes sends what was there before.
TEST_P(NcclTest, AMissingEventIsFound) {
  const simdevice::Lazily lazily;
  Spawn(2, [](Comm& comm) {
    const auto device = static_cast<c10::DeviceIndex>(comm.rank());
    const Tensor values = OnDevice(torch::ones({500}), comm);
    const c10::impl::VirtualGuardImpl guard(at::kCUDA);
    const c10::Stream compute = guard.getStream(Gpu(device));
    guard.synchronizeStream(compute);
    const Tensor result = values * 2, mine = values * 3;  // On the compute stream, late.
    const Tensor all = torch::zeros({1000}, values.options()), sum = torch::zeros({250}, values.options());
    {
      const c10::StreamGuard other(guard.getNewStream(Gpu(device), 0));
      ASSERT_TRUE(comm.AllGather(mine, std::vector<size_t>{500, 500}, all).ok());
      EXPECT_TRUE(all.isnan().all().item<bool>());
      ASSERT_TRUE(comm.ReduceScatterSum(mine, std::vector<size_t>{250, 250}, /*contributors=*/2, sum).ok());
      EXPECT_TRUE(sum.isnan().all().item<bool>());
      ASSERT_TRUE(comm.AllReduceSum(result).ok());
      EXPECT_TRUE(result.isnan().all().item<bool>());
    }
    guard.synchronizeStream(compute);
  });
}

}  // namespace
}  // namespace ft::comm
