// Ranks as threads of a test.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "worker/train/comm/shared_memory_comm.h"

namespace ft::testing {

// Runs fn(rank) on `ranks` threads and waits for all.
inline void RunRanks(int ranks, const std::function<void(int rank)>& fn) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back([&fn, rank] { fn(rank); });
  for (std::thread& thread : threads) thread.join();
}

// The same over an in-process group. A rank that returns has left.
inline void SpawnRanks(int ranks, const std::function<void(comm::Comm& comm)>& fn) {
  auto comms = comm::InProcess(ranks, {.timeout = std::chrono::seconds(30)});
  RunRanks(ranks, [&](int rank) {
    fn(*comms[static_cast<size_t>(rank)]);
    comms[static_cast<size_t>(rank)].reset();
  });
}

}  // namespace ft::testing
