// Ranks of one host that are processes: each brings a memfd segment and a pidfd of itself, and all get all of
// them over a Unix socket that rank 0 opens in a folder they share. After the meeting there are no sockets:
// data goes through the segments, and a peer's pidfd says when its process has ended.
#pragma once

#include <filesystem>

#include "worker/train/comm/shared_memory_comm.h"

namespace ft::comm {

struct ShmRendezvousOptions {
  std::filesystem::path
      folder;  // Exists; belongs to one group of ranks. Its path may be longer than a socket address.
  int rank = 0;
  int size = 1;                                                 // At most kMaxShmRanks.
  std::chrono::milliseconds timeout = std::chrono::minutes(2);  // Longest wait for the peers to come.
  size_t capacity = kSegmentBytes;  // Data bytes of every segment; equal on all ranks.
};

constexpr int kMaxShmRanks = 64;

// Meets the others. DEADLINE_EXCEEDED says how many of how many peers arrived, UNAVAILABLE that rank 0 has
// gone, INTERNAL that one came who does not belong to this group.
StatusOr<std::unique_ptr<Comm>> RendezvousShm(const ShmRendezvousOptions& rendezvous,
                                              const CommOptions& options);

}  // namespace ft::comm
