// Ranks that see each other's memory: each has a segment of its own, which the others read straight from. A
// phase ends when every rank has counted it in its segment's header; an operation is two or three phases.
// Waiting ranks sleep on the peer's counter (futex), and look every 50 ms whether the peer still lives.
#pragma once

#include <atomic>
#include <vector>

#include "worker/train/comm/comm.h"

namespace ft::comm {

// The first bytes of a segment. Lock-free atomics, so they work between processes.
struct alignas(64) SegmentHeader {
  std::atomic<uint32_t> phase{0};  // Phases this rank has reached; wraps around.
  std::atomic<uint32_t> left{0};   // 1: takes no further part.
  std::atomic<uint64_t> operation{
      0};  // What it is at, and of how many bytes; equal on all ranks between its phases.
};

struct Segment {
  SegmentHeader* header = nullptr;
  std::byte* data = nullptr;
};

// The segments of a group as one rank sees them.
struct SharedSegments {
  std::vector<Segment> by_rank;
  size_t capacity = 0;                  // Bytes of data in each; operations on more go in chunks.
  std::shared_ptr<void> memory;         // Keeps them mapped.
  std::function<bool(int rank)> alive;  // Whether a peer's process is there; empty = `left` says all.
  std::string_view name;                // "shm" or "memory".
};

class SharedMemoryComm : public Comm {
 public:
  // REQUIRES: capacity a multiple of 64, at least 64 times the ranks.
  SharedMemoryComm(int rank, SharedSegments segments, CommOptions options);
  ~SharedMemoryComm() override;  // Tells the peers that this rank has left.
  std::string_view transport() const override { return shared_.name; }

 private:
  enum class Operation : uint64_t { kAllGather = 1, kAllReduceSum, kBroadcast, kBarrier, kReduceScatterSum };

  Status DoAllGather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  Status DoAllGather(std::span<const std::byte> mine, std::span<const size_t> counts,
                     std::span<std::byte> all) override;
  Status DoAllReduceSum(std::span<float> values) override;
  Status DoReduceScatterSum(std::span<const float> values, std::span<const size_t> counts, int contributors,
                            std::span<float> own) override;
  Status DoBroadcast(int root, std::span<std::byte> bytes) override;
  Status DoBarrier() override;
  Status CheckPeers() const override;

  Status SumChunk(std::span<float> values);
  // Says what this rank is at, waits for all, and checks that they are at the same.
  Status Begin(Operation operation, size_t bytes);
  // Counts this rank's phase and waits until every peer has counted it too.
  Status NextPhase();
  // OK once the peer has counted `phase`; `arrived` of its peers had before it (for the message).
  Status AwaitPeer(int peer, uint32_t phase, std::chrono::steady_clock::time_point deadline) const;
  int PeersAt(uint32_t phase) const;
  void Leave();

  float* FloatsOf(int rank) {
    return reinterpret_cast<float*>(shared_.by_rank[static_cast<size_t>(rank)].data);
  }
  Segment& own() { return shared_.by_rank[static_cast<size_t>(rank())]; }

  SharedSegments shared_;
  uint32_t phase_ = 0;
};

// The data bytes of a segment unless a test wants fewer: large enough to keep phases rare, small enough for
// the cache.
constexpr size_t kSegmentBytes = size_t{4} << 20;

// Ranks that are threads of this process: element r is for the thread of rank r.
std::vector<std::unique_ptr<Comm>> InProcess(int ranks, const CommOptions& options,
                                             size_t capacity = kSegmentBytes);

}  // namespace ft::comm
