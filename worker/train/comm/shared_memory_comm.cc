#include "worker/train/comm/shared_memory_comm.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <iterator>
#include <numeric>

#include "core/base/check.h"

namespace ft::comm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPollInterval = std::chrono::milliseconds(50);
constexpr int kOperationShift = 56;
constexpr const char* kOperations[] = {"nothing",   "all-gather", "tree sum",
                                       "broadcast", "barrier",    "reduce-scatter"};

// "tree sum of 40 bytes": what a header's operation word says, for messages.
std::string DescribeOp(uint64_t word) {
  const uint64_t operation = word >> kOperationShift;
  return StrCat(operation < std::size(kOperations) ? kOperations[operation] : "another program's operation",
                " of ", word & ((uint64_t{1} << kOperationShift) - 1), " bytes");
}

static_assert(std::atomic<uint32_t>::is_always_lock_free && std::atomic<uint64_t>::is_always_lock_free);

// Sleeps until the word is no longer `seen`, a wake, or kLook. Shared, not private: the word may lie in a
// mapped file.
void SleepWhile(std::atomic<uint32_t>& word, uint32_t seen) {
  const timespec limit{0, std::chrono::nanoseconds(kPollInterval).count()};
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, seen, &limit, nullptr, 0);
}

void WakeAll(std::atomic<uint32_t>& word) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

// Counters wrap; a rank is never more than a few phases ahead.
bool Reached(uint32_t counted, uint32_t phase) { return static_cast<int32_t>(counted - phase) >= 0; }

}  // namespace

SharedMemoryComm::SharedMemoryComm(int rank, SharedSegments segments, CommOptions options)
    : Comm(rank, static_cast<int>(segments.by_rank.size()), std::move(options)),
      shared_(std::move(segments)) {
  FT_CHECK(shared_.capacity % 64 == 0 && shared_.capacity >= 64 * shared_.by_rank.size()) << shared_.capacity;
}

SharedMemoryComm::~SharedMemoryComm() { Leave(); }

void SharedMemoryComm::Leave() {
  own().header->left.store(1);
  WakeAll(own().header->phase);
}

int SharedMemoryComm::PeersAt(uint32_t phase) const {
  int count = 0;
  for (int peer = 0; peer < size(); ++peer) {
    count +=
        peer != rank() && Reached(shared_.by_rank[static_cast<size_t>(peer)].header->phase.load(), phase);
  }
  return count;
}

Status SharedMemoryComm::AwaitPeer(int peer, uint32_t phase, Clock::time_point deadline) const {
  SegmentHeader& header = *shared_.by_rank[static_cast<size_t>(peer)].header;
  const auto trouble = [&](std::string_view what) {
    return StrCat("rank ", peer, " ", what, "; ", PeersAt(phase), " of ", size() - 1, " peers arrived");
  };
  while (true) {
    // In this order: a rank counts its last phase before it leaves, so one that has left and not counted
    // never will.
    const bool left = header.left.load() != 0;
    const bool alive = left || !shared_.alive || shared_.alive(peer);
    const uint32_t counted = header.phase.load();
    if (Reached(counted, phase)) return absl::OkStatus();
    if (left) return absl::UnavailableError(trouble("has left"));
    if (!alive) return absl::UnavailableError(trouble("has ended"));
    if (Clock::now() >= deadline) return absl::DeadlineExceededError(trouble("did not come in time"));
    SleepWhile(header.phase, counted);
    TellWait(peer);
  }
}

Status SharedMemoryComm::NextPhase() {
  ++phase_;
  NextChunk();
  own().header->phase.store(phase_);
  WakeAll(own().header->phase);
  const Clock::time_point deadline = Clock::now() + options_.timeout;
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    const Status status = AwaitPeer(peer, phase_, deadline);
    if (status.ok()) continue;
    Leave();  // The others need not wait for this rank any more.
    return status;
  }
  return absl::OkStatus();
}

Status SharedMemoryComm::Begin(Operation operation, size_t bytes) {
  const uint64_t mine = (static_cast<uint64_t>(operation) << kOperationShift) | bytes;
  own().header->operation.store(mine);
  RETURN_IF_ERROR(NextPhase());
  for (int peer = 0; peer < size(); ++peer) {
    const uint64_t theirs = shared_.by_rank[static_cast<size_t>(peer)].header->operation.load();
    if (theirs == mine) continue;
    Leave();
    return absl::InternalError(
        StrCat("rank ", peer, " is at a ", DescribeOp(theirs), ", this rank at a ", DescribeOp(mine)));
  }
  return absl::OkStatus();
}

Status SharedMemoryComm::DoAllGather(std::span<const std::byte> mine, std::span<std::byte> all) {
  for (size_t begin = 0; begin == 0 || begin < mine.size(); begin += shared_.capacity) {
    const size_t length = std::min(shared_.capacity, mine.size() - begin);
    std::copy_n(mine.data() + begin, length, own().data);
    RETURN_IF_ERROR(Begin(Operation::kAllGather, mine.size()));
    for (int peer = 0; peer < size(); ++peer) {
      std::copy_n(shared_.by_rank[static_cast<size_t>(peer)].data, length,
                  all.data() + static_cast<size_t>(peer) * mine.size() + begin);
    }
    RETURN_IF_ERROR(NextPhase());
  }
  return absl::OkStatus();
}

Status SharedMemoryComm::DoAllGather(std::span<const std::byte> mine, std::span<const size_t> counts,
                                     std::span<std::byte> all) {
  const size_t longest = *std::max_element(counts.begin(), counts.end());
  for (size_t begin = 0; begin < longest; begin += shared_.capacity) {
    const auto within = [&](std::span<const std::byte> part) {
      return begin < part.size() ? part.subspan(begin, std::min(shared_.capacity, part.size() - begin))
                                 : part.first(0);
    };
    const std::span<const std::byte> chunk = within(mine);
    std::copy(chunk.begin(), chunk.end(), own().data);
    RETURN_IF_ERROR(Begin(Operation::kAllGather, all.size()));
    size_t first = 0;  // Of the peer's part.
    for (int peer = 0; peer < size(); ++peer) {
      const size_t count = counts[static_cast<size_t>(peer)];
      if (peer != rank() || mine.data() != all.data() + first) {
        std::copy_n(shared_.by_rank[static_cast<size_t>(peer)].data, within(all.subspan(first, count)).size(),
                    all.data() + first + begin);
      }
      first += count;
    }
    RETURN_IF_ERROR(NextPhase());
  }
  return absl::OkStatus();
}

Status SharedMemoryComm::DoReduceScatterSum(std::span<const float> values, std::span<const size_t> counts,
                                            int contributors, std::span<float> own) {
  const size_t most = shared_.capacity / sizeof(float);
  const size_t own_begin = std::accumulate(counts.begin(), counts.begin() + rank(), size_t{0}),
               own_end = own_begin + own.size();
  for (size_t begin = 0; begin < values.size(); begin += most) {
    const size_t end = std::min(begin + most, values.size());
    // This rank's own part, which nobody else reads, is added from where it lies.
    const size_t from = std::clamp(own_begin, begin, end), to = std::clamp(own_end, begin, end);
    if (rank() < contributors) {
      std::copy_n(values.data() + begin, from - begin, FloatsOf(rank()));
      std::copy_n(values.data() + to, end - to, FloatsOf(rank()) + (to - begin));
    }
    RETURN_IF_ERROR(Begin(Operation::kReduceScatterSum, values.size_bytes()));
    if (from < to) {
      std::vector<const float*> inputs;
      for (int peer = 0; peer < contributors; ++peer)
        inputs.push_back(peer == rank() ? values.data() + from : FloatsOf(peer) + (from - begin));
      TreeAdd(inputs, to - from, own.data() + (from - own_begin));
    }
    RETURN_IF_ERROR(NextPhase());
  }
  return absl::OkStatus();
}

Status SharedMemoryComm::DoAllReduceSum(std::span<float> values) {
  const size_t most = shared_.capacity / sizeof(float);
  for (size_t begin = 0; begin == 0 || begin < values.size(); begin += most) {
    RETURN_IF_ERROR(SumChunk(values.subspan(begin, std::min(most, values.size() - begin))));
  }
  return absl::OkStatus();
}

Status SharedMemoryComm::SumChunk(std::span<float> values) {
  std::copy(values.begin(), values.end(), FloatsOf(rank()));
  RETURN_IF_ERROR(Begin(Operation::kAllReduceSum, values.size_bytes()));
  // Only this rank reads this chunk of the segments, so its sum can go where its own share lay.
  const Chunk own_chunk = ChunkOf(values.size(), rank(), size());
  std::vector<const float*> inputs;
  for (int peer = 0; peer < size(); ++peer) inputs.push_back(FloatsOf(peer) + own_chunk.begin);
  TreeAdd(inputs, own_chunk.size(), FloatsOf(rank()) + own_chunk.begin);
  RETURN_IF_ERROR(NextPhase());
  for (int peer = 0; peer < size(); ++peer) {
    const Chunk chunk = ChunkOf(values.size(), peer, size());
    std::copy_n(FloatsOf(peer) + chunk.begin, chunk.size(), values.data() + chunk.begin);
  }
  return NextPhase();
}

Status SharedMemoryComm::DoBroadcast(int root, std::span<std::byte> bytes) {
  for (size_t begin = 0; begin == 0 || begin < bytes.size(); begin += shared_.capacity) {
    const std::span<std::byte> chunk = bytes.subspan(begin, std::min(shared_.capacity, bytes.size() - begin));
    if (rank() == root) std::copy(chunk.begin(), chunk.end(), own().data);
    RETURN_IF_ERROR(Begin(Operation::kBroadcast, bytes.size()));
    if (rank() != root)
      std::copy_n(shared_.by_rank[static_cast<size_t>(root)].data, chunk.size(), chunk.data());
    RETURN_IF_ERROR(NextPhase());
  }
  return absl::OkStatus();
}

Status SharedMemoryComm::DoBarrier() {
  RETURN_IF_ERROR(Begin(Operation::kBarrier, 0));
  return NextPhase();
}

Status SharedMemoryComm::CheckPeers() const {
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    if (shared_.by_rank[static_cast<size_t>(peer)].header->left.load() != 0)
      return absl::UnavailableError(StrCat("rank ", peer, " has left"));
    if (shared_.alive && !shared_.alive(peer))
      return absl::UnavailableError(StrCat("rank ", peer, " has ended"));
  }
  return absl::OkStatus();
}

std::vector<std::unique_ptr<Comm>> InProcess(int ranks, const CommOptions& options, size_t capacity) {
  struct Memory {
    Memory(size_t ranks, size_t capacity) : headers(ranks), data(ranks) {
      for (auto& segment : data) segment.resize(capacity);
    }
    std::vector<SegmentHeader> headers;
    std::vector<std::vector<std::byte>> data;
  };
  const auto memory = std::make_shared<Memory>(static_cast<size_t>(ranks), capacity);
  std::vector<std::unique_ptr<Comm>> comms;
  for (int rank = 0; rank < ranks; ++rank) {
    SharedSegments segments{.capacity = capacity, .memory = memory, .name = "memory"};
    for (size_t r = 0; r < memory->headers.size(); ++r) {
      segments.by_rank.push_back({&memory->headers[r], memory->data[r].data()});
    }
    comms.push_back(std::make_unique<SharedMemoryComm>(rank, std::move(segments), options));
  }
  return comms;
}

}  // namespace ft::comm
