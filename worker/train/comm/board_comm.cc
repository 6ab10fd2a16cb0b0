#include "worker/train/comm/board_comm.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <iterator>

#include "core/base/check.h"

namespace ft::comm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kLook = std::chrono::milliseconds(50);
constexpr int kOperationShift = 56;
constexpr const char* kOperations[] = {"nothing", "all-gather", "tree sum", "broadcast", "barrier"};

// An operation word for people: "tree sum of 40 bytes".
std::string Told(uint64_t word) {
  const uint64_t operation = word >> kOperationShift;
  return StrCat(operation < std::size(kOperations) ? kOperations[operation] : "another program's operation",
                " of ", word & ((uint64_t{1} << kOperationShift) - 1), " bytes");
}

static_assert(std::atomic<uint32_t>::is_always_lock_free && std::atomic<uint64_t>::is_always_lock_free);

// Sleeps until the word is no longer `seen`, a wake, or kLook. Shared, not private: the word may lie in a
// mapped file.
void SleepWhile(std::atomic<uint32_t>& word, uint32_t seen) {
  const timespec limit{0, std::chrono::nanoseconds(kLook).count()};
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, seen, &limit, nullptr, 0);
}

void WakeAll(std::atomic<uint32_t>& word) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

// Counters wrap; a rank is never more than a few phases ahead.
bool Reached(uint32_t counted, uint32_t phase) { return static_cast<int32_t>(counted - phase) >= 0; }

}  // namespace

BoardComm::BoardComm(int rank, Board board, CommOptions options)
    : Comm(rank, static_cast<int>(board.segments.size()), std::move(options)), board_(std::move(board)) {
  FT_CHECK(board_.capacity % 64 == 0 && board_.capacity >= 64 * board_.segments.size()) << board_.capacity;
}

BoardComm::~BoardComm() { Leave(); }

void BoardComm::Leave() {
  own().header->left.store(1);
  WakeAll(own().header->phase);
}

int BoardComm::PeersAt(uint32_t phase) const {
  int count = 0;
  for (int peer = 0; peer < size(); ++peer) {
    count +=
        peer != rank() && Reached(board_.segments[static_cast<size_t>(peer)].header->phase.load(), phase);
  }
  return count;
}

Status BoardComm::AwaitPeer(int peer, uint32_t phase, Clock::time_point deadline) const {
  SegmentHeader& header = *board_.segments[static_cast<size_t>(peer)].header;
  const auto trouble = [&](std::string_view what) {
    return StrCat("rank ", peer, " ", what, "; ", PeersAt(phase), " of ", size() - 1, " peers arrived");
  };
  while (true) {
    // In this order: a rank counts its last phase before it leaves, so one that has left and not counted
    // never will.
    const bool left = header.left.load() != 0;
    const bool alive = left || !board_.alive || board_.alive(peer);
    const uint32_t counted = header.phase.load();
    if (Reached(counted, phase)) return absl::OkStatus();
    if (left) return absl::UnavailableError(trouble("has left"));
    if (!alive) return absl::UnavailableError(trouble("has ended"));
    if (Clock::now() >= deadline) return absl::DeadlineExceededError(trouble("did not come in time"));
    SleepWhile(header.phase, counted);
    TellWait(peer);
  }
}

Status BoardComm::NextPhase() {
  ++phase_;
  NextPiece();
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

Status BoardComm::Begin(Operation operation, size_t bytes) {
  const uint64_t mine = (static_cast<uint64_t>(operation) << kOperationShift) | bytes;
  own().header->operation.store(mine);
  RETURN_IF_ERROR(NextPhase());
  for (int peer = 0; peer < size(); ++peer) {
    const uint64_t theirs = board_.segments[static_cast<size_t>(peer)].header->operation.load();
    if (theirs == mine) continue;
    Leave();
    return absl::InternalError(
        StrCat("rank ", peer, " is at a ", Told(theirs), ", this rank at a ", Told(mine)));
  }
  return absl::OkStatus();
}

Status BoardComm::DoAllGather(std::span<const std::byte> mine, std::span<std::byte> all) {
  for (size_t begin = 0; begin == 0 || begin < mine.size(); begin += board_.capacity) {
    const size_t length = std::min(board_.capacity, mine.size() - begin);
    std::copy_n(mine.data() + begin, length, own().data);
    RETURN_IF_ERROR(Begin(Operation::kAllGather, mine.size()));
    for (int peer = 0; peer < size(); ++peer) {
      std::copy_n(board_.segments[static_cast<size_t>(peer)].data, length,
                  all.data() + static_cast<size_t>(peer) * mine.size() + begin);
    }
    RETURN_IF_ERROR(NextPhase());
  }
  return absl::OkStatus();
}

Status BoardComm::DoTreeSum(std::span<float> values) {
  const size_t most = board_.capacity / sizeof(float);
  for (size_t begin = 0; begin == 0 || begin < values.size(); begin += most) {
    RETURN_IF_ERROR(SumPiece(values.subspan(begin, std::min(most, values.size() - begin))));
  }
  return absl::OkStatus();
}

Status BoardComm::SumPiece(std::span<float> values) {
  const auto floats = [&](int peer) {
    return reinterpret_cast<float*>(board_.segments[static_cast<size_t>(peer)].data);
  };
  std::copy(values.begin(), values.end(), floats(rank()));
  RETURN_IF_ERROR(Begin(Operation::kTreeSum, values.size_bytes()));
  // Of this piece only this rank reads the segments, so its sum can go where its own share lay.
  const Piece own_piece = PieceOf(values.size(), rank(), size());
  std::vector<const float*> inputs;
  for (int peer = 0; peer < size(); ++peer) inputs.push_back(floats(peer) + own_piece.begin);
  TreeAdd(inputs, own_piece.size(), floats(rank()) + own_piece.begin);
  RETURN_IF_ERROR(NextPhase());
  for (int peer = 0; peer < size(); ++peer) {
    const Piece piece = PieceOf(values.size(), peer, size());
    std::copy_n(floats(peer) + piece.begin, piece.size(), values.data() + piece.begin);
  }
  return NextPhase();
}

Status BoardComm::DoBroadcast(int root, std::span<std::byte> bytes) {
  for (size_t begin = 0; begin == 0 || begin < bytes.size(); begin += board_.capacity) {
    const std::span<std::byte> piece = bytes.subspan(begin, std::min(board_.capacity, bytes.size() - begin));
    if (rank() == root) std::copy(piece.begin(), piece.end(), own().data);
    RETURN_IF_ERROR(Begin(Operation::kBroadcast, bytes.size()));
    if (rank() != root)
      std::copy_n(board_.segments[static_cast<size_t>(root)].data, piece.size(), piece.data());
    RETURN_IF_ERROR(NextPhase());
  }
  return absl::OkStatus();
}

Status BoardComm::DoBarrier() {
  RETURN_IF_ERROR(Begin(Operation::kBarrier, 0));
  return NextPhase();
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
    Board board{.capacity = capacity, .memory = memory, .name = "memory"};
    for (size_t r = 0; r < memory->headers.size(); ++r) {
      board.segments.push_back({&memory->headers[r], memory->data[r].data()});
    }
    comms.push_back(std::make_unique<BoardComm>(rank, std::move(board), options));
  }
  return comms;
}

}  // namespace ft::comm
