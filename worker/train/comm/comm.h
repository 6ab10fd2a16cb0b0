// What the ranks of one attempt say to each other, whatever carries it. Every operation is collective: all
// ranks call the same operations with the same sizes in the same order. Sums have one order, a binary tree
// over the ranks, so all transports and all ranks get the same bits.
//
// One thread at a time. An operation waits for its peers at most CommOptions::timeout. Errors name rank,
// operation and peer: UNAVAILABLE when a peer has gone, DEADLINE_EXCEEDED when one did not come in time,
// INTERNAL when ranks are at different operations. After an error the group is of no more use: every later
// call answers the same error.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/plan/wire.h"
#include "worker/train/comm/device_collectives.h"

namespace at {
class Tensor;
}

namespace ft::comm {

// What a rank waits for.
struct Wait {
  // "meeting", "all-gather", "tree sum", "reduce-scatter", "broadcast" or "barrier"; "all-gather of block.17" where that is told.
  std::string_view operation;
  // Grows by one with each exchange, and within a long one with each chunk of it: the same on all ranks. 0
  // while they meet. One that moves is a sign of life; one that stands still is not.
  int64_t sequence = 0;
  int missing = -1;  // The rank that has not come; -1 where the transport does not know.
};

using WaitFunction = std::function<void(const Wait&)>;

struct CommOptions {
  std::chrono::milliseconds timeout = std::chrono::minutes(10);  // Longest wait of one operation.
  WaitFunction waiting;  // Called several times a second while an operation waits for peers; may be empty.
};

class Comm {
 public:
  virtual ~Comm() = default;
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  virtual std::string_view transport() const = 0;

  // `all` receives every rank's bytes, by rank. REQUIRES: all.size() == size() * mine.size().
  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all);
  // All-reduce with a fixed order: afterwards `values` holds on every rank the sum over ranks, element by element in the order of TreeAdd.
  Status AllReduceSum(std::span<float> values);
  // The same of unequal parts: `mine` are counts[rank()] bytes, and may lie where they go to in `all`.
  Status AllGather(std::span<const std::byte> mine, std::span<const size_t> counts, std::span<std::byte> all);
  // AllReduceSum over the first `contributors` ranks, of which each rank keeps its part: `own` receives the counts[rank()] elements
  // that lie behind the counts of the ranks before it. The values of ranks that do not contribute are not read. REQUIRES: `own` apart
  // from `values`, 1 <= contributors <= size().
  Status ReduceScatterSum(std::span<const float> values, std::span<const size_t> counts, int contributors,
                          std::span<float> own);
  // `bytes` of `root` on every rank.
  Status Broadcast(int root, std::span<std::byte> bytes);
  // Returns once every rank has called it.
  Status Barrier();

  // The same of tensors, of float32 where they are added, wherever the tensors lie: through host memory, or from device to device once
  // ExchangeOnDevices was called. The bits are the same. REQUIRES: contiguous; on all ranks in the same kinds of places.
  Status AllReduceSum(const at::Tensor& values);
  Status Broadcast(int root, const at::Tensor& tensor);
  // Counts in elements. What goes from device to device need not rest there: `mine` may lie in host memory. `what` is brought together,
  // for waits and errors; may be empty.
  Status AllGather(const at::Tensor& mine, std::span<const size_t> counts, const at::Tensor& all,
                   std::string_view what = {});
  Status ReduceScatterSum(const at::Tensor& values, std::span<const size_t> counts, int contributors,
                          const at::Tensor& own);

  // Tensors of devices go this way from now on. Each such operation begins and ends with the ranks meeting on the host, so that one
  // that does not come is named as ever. REQUIRES: all ranks call it, between the same operations.
  void ExchangeOnDevices(std::unique_ptr<DeviceCollectives> collectives);

  // The error after which the group is of no more use; OK while it works.
  const Status& failure() const { return failure_; }

  // Bytes of other ranks' data that this rank received so far, by operation: a function of operations and sizes, equal for
  // all transports.
  const plan::WireBytes& wire_bytes() const { return wire_bytes_; }

 protected:
  Comm(int rank, int size, CommOptions options) : options_(std::move(options)), rank_(rank), size_(size) {}
  // The operations among two or more ranks. Sizes are checked already.
  virtual Status DoAllGather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;
  virtual Status DoAllGather(std::span<const std::byte> mine, std::span<const size_t> counts,
                             std::span<std::byte> all) = 0;
  virtual Status DoAllReduceSum(std::span<float> values) = 0;
  virtual Status DoReduceScatterSum(std::span<const float> values, std::span<const size_t> counts,
                                    int contributors, std::span<float> own) = 0;
  virtual Status DoBroadcast(int root, std::span<std::byte> bytes) = 0;
  virtual Status DoBarrier() = 0;
  // UNAVAILABLE names a peer that has gone; OK where the transport learns that in operations only.
  virtual Status CheckPeers() const { return absl::OkStatus(); }

  // The next chunk of the operation begins: the sequence of its waits.
  void NextChunk() { ++sequence_; }
  // Tells who is missing, if anybody wants to know.
  void TellWait(int missing) const;

  const CommOptions options_;

 private:
  // An operation as errors, waits and counters know it.
  struct Operation {
    std::string_view name;
    int64_t plan::WireBytes::*counter = nullptr;  // Null: it carries nothing.
  };
  static const Operation kGathers, kSums, kScatters, kBroadcasts, kBarriers;
  Status Run(const Operation& operation, std::string_view carrier, int64_t received,
             const std::function<Status()>& body);
  // The ranks meet, then `body` exchanges on the devices and calls what it is given while it waits.
  Status RunOnDevices(const Operation& operation, int64_t received,
                      const std::function<Status(const WaitCheck&)>& body);
  Status GatherOnDevices(const at::Tensor& mine, std::span<const size_t> counts, const at::Tensor& all);
  Status GatherThroughHost(const at::Tensor& mine, std::span<const size_t> counts, const at::Tensor& all);
  // Of parts whose counts are in elements.
  void CheckParts(std::span<const size_t> counts, size_t own, size_t whole) const;
  // Bytes.
  int64_t ReceivedInSum(size_t count) const;
  int64_t ReceivedInScatter(size_t own_count, int contributors) const;

  const int rank_;
  const int size_;
  plan::WireBytes wire_bytes_;
  std::string what_;       // That the operation exchanges; mostly empty.
  std::string operation_;  // That is going on, with what it exchanges.
  int64_t sequence_ = 0;
  Status failure_;
  std::unique_ptr<DeviceCollectives> on_devices_;  // Null: tensors go through host memory.
};

// A group of one: every operation is done at once.
std::unique_ptr<Comm> SingleRankComm();

// The chunk of `count` elements that rank `part` of `parts` adds up: [begin, end). Chunks tile the whole.
struct Chunk {
  size_t begin = 0, end = 0;
  size_t size() const { return end - begin; }
};
Chunk ChunkOf(size_t count, int part, int parts);

// out[i] = the sum of inputs[k][i], k by a binary tree: ((0+1)+(2+3))+((4+5)+(6+7)); with another count than
// a power of two the largest power of two goes left. `out` may be one of the inputs.
void TreeAdd(std::span<const float* const> inputs, size_t count, float* out);

// The same order for one number a rank.
double TreeAdd(std::span<const double> numbers);

}  // namespace ft::comm
