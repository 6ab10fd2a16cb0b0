#include "tests/simdevice/fake_nccl.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/simdevice/current.h"
#include "tests/simdevice/runtime/die.h"

namespace ft::simdevice {
namespace {

using cuda::kNcclInProgress;
using cuda::kNcclInvalidArgument;
using cuda::kNcclRemoteError;
using cuda::kNcclSuccess;
using cuda::NcclCommunicator;
using cuda::NcclUniqueId;

constexpr int kMostRanks = 8;
constexpr size_t kSlotBytes = size_t{64} << 10;  // What a sender may be ahead of its receiver.

// From one rank to another: a ring of bytes. Each message begins with its size.
struct Channel {
  std::atomic<uint64_t> written{0}, read{0};
  std::byte slot[kSlotBytes];
};

// What the ranks of a communicator share, in a file that all of them map.
struct Board {
  std::atomic<int> attached{0};
  std::atomic<int> aborted{0};
  Channel channels[kMostRanks][kMostRanks];  // [from][to]
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

class Communicator {
 public:
  Communicator(Board* board, int rank, int ranks) : board_(board), rank_(rank), ranks_(ranks) {}
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  ~Communicator() { ::munmap(board_, sizeof(Board)); }

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }
  bool Complete() const { return board_->attached.load() == ranks_; }
  bool Aborted() const { return aborted_.load(); }
  bool PeerAborted() const { return board_->aborted.load() > 0; }
  void Abort() {
    aborted_ = true;
    ++board_->aborted;
  }
  Channel& To(int peer) { return board_->channels[rank_][peer]; }
  Channel& From(int peer) { return board_->channels[peer][rank_]; }

  std::atomic<int> questions_until_ended{0};  // Of async_error, which answers "under way" so many times.

 private:
  Board* const board_;
  const int rank_, ranks_;
  std::atomic<bool> aborted_{false};
};

// One send or receive, and how far it has come. `data` lies where the device's work may look.
class Transfer {
 public:
  Transfer(Channel& channel, bool sends, std::byte* data, size_t bytes)
      : channel_(channel), sends_(sends), data_(data), bytes_(bytes), size_(bytes) {}

  const Channel& channel() const { return channel_; }

  // Moves what can be moved now; true when all was.
  bool Progress() {
    auto* const size = reinterpret_cast<std::byte*>(&size_);
    while (done_ < sizeof(size_)) {
      const size_t moved = Move(size + done_, sizeof(size_) - done_);
      if (moved == 0) return false;
      done_ += moved;
    }
    if (size_ != bytes_) Die("fake NCCL: a receive of %zu bytes met a send of %zu", bytes_, size_);
    while (done_ < sizeof(size_) + bytes_) {
      const size_t moved = Move(data_ + (done_ - sizeof(size_)), sizeof(size_) + bytes_ - done_);
      if (moved == 0) return false;
      done_ += moved;
    }
    return true;
  }

 private:
  size_t Move(std::byte* data, size_t most) {
    const uint64_t written = channel_.written.load(), read = channel_.read.load();
    const uint64_t at = (sends_ ? written : read) % kSlotBytes;
    const size_t room = sends_ ? kSlotBytes - (written - read) : written - read;
    const size_t bytes = std::min({most, room, kSlotBytes - at});
    if (sends_) {
      std::memcpy(channel_.slot + at, data, bytes);
      channel_.written += bytes;
    } else {
      std::memcpy(data, channel_.slot + at, bytes);
      channel_.read += bytes;
    }
    return bytes;
  }

  Channel& channel_;
  const bool sends_;
  std::byte* const data_;
  const size_t bytes_;
  size_t size_;      // Of the message, as its sender said.
  size_t done_ = 0;  // Its size's own bytes included.
};

// What one group gives to a stream.
struct Work {
  Communicator* communicator = nullptr;
  Stream* stream = nullptr;
  std::vector<Transfer> transfers;
  // Within the device, when the work begins.
  std::vector<std::pair<std::byte*, const std::byte*>> copies;
  size_t copied_bytes = 0;

  bool Progress() {
    if (communicator->Aborted()) return true;
    std::vector<const Channel*> behind;  // Whose earlier message is not through.
    for (Transfer& transfer : transfers) {
      if (std::find(behind.begin(), behind.end(), &transfer.channel()) != behind.end()) continue;
      if (!transfer.Progress()) behind.push_back(&transfer.channel());
    }
    return behind.empty();
  }
};

thread_local int group_depth = 0;
thread_local Work group;

Communicator& Of(NcclCommunicator communicator) { return *static_cast<Communicator*>(communicator); }

int Give() {
  if (group.communicator == nullptr) return kNcclSuccess;
  const auto work = std::make_shared<Work>(std::move(group));
  group = Work();
  work->communicator->questions_until_ended = 2;
  Device& device = work->stream->device();
  if (!work->copies.empty()) {
    device.Launch(*work->stream, [work] {
      for (const auto& [to, from] : work->copies) std::memmove(to, from, work->copied_bytes);
    });
  }
  return device.LaunchExchange(*work->stream, [work] { return work->Progress(); }) == kNone
             ? kNcclInProgress
             : cuda::kNcclInternalError;
}

// Null where it is no memory of the stream's device that somebody has.
std::byte* Place(const void* data, Stream& stream) {
  Device& device = stream.device();
  return Device::Of(data) == &device && device.IsLive(data) ? device.Host(data) : nullptr;
}

int Add(NcclCommunicator communicator, int peer, bool sends, const void* data, size_t bytes,
        void* stream_address) {
  Stream& stream = *static_cast<Stream*>(stream_address);
  std::byte* const place = Place(data, stream);
  Communicator& own = Of(communicator);
  if (place == nullptr || peer < 0 || peer >= own.ranks() || peer == own.rank()) return kNcclInvalidArgument;
  if (group.communicator != nullptr && (group.communicator != &own || group.stream != &stream))
    Die("fake NCCL: a group over several communicators or streams");
  group.communicator = &own;
  group.stream = &stream;
  group.transfers.emplace_back(sends ? own.To(peer) : own.From(peer), sends, place, bytes);
  return kNcclSuccess;
}

int GroupStart() {
  ++group_depth;
  return kNcclSuccess;
}

int GroupEnd() { return --group_depth == 0 ? Give() : kNcclSuccess; }

int Send(const void* data, size_t bytes, int peer, NcclCommunicator communicator, void* stream) {
  GroupStart();
  const int result = Add(communicator, peer, true, data, bytes, stream);
  const int given = GroupEnd();
  return result != kNcclSuccess ? result : given;
}

int Receive(void* data, size_t bytes, int peer, NcclCommunicator communicator, void* stream) {
  GroupStart();
  const int result = Add(communicator, peer, false, data, bytes, stream);
  const int given = GroupEnd();
  return result != kNcclSuccess ? result : given;
}

int AllGather(const void* mine, void* all, size_t bytes, NcclCommunicator communicator, void* stream) {
  Communicator& own = Of(communicator);
  auto* const parts = static_cast<std::byte*>(all);
  std::byte* const own_part = parts + static_cast<size_t>(own.rank()) * bytes;
  GroupStart();
  int result = kNcclSuccess;
  for (int peer = 0; peer < own.ranks() && result == kNcclSuccess; ++peer) {
    if (peer == own.rank()) continue;
    result = Add(communicator, peer, true, mine, bytes, stream);
    if (result == kNcclSuccess)
      result = Add(communicator, peer, false, parts + static_cast<size_t>(peer) * bytes, bytes, stream);
  }
  Stream& where = *static_cast<Stream*>(stream);
  if (result == kNcclSuccess && own_part != mine) {
    group.copies.emplace_back(Place(own_part, where), Place(mine, where));
    group.copied_bytes = bytes;
  }
  const int given = GroupEnd();
  return result != kNcclSuccess ? result : given;
}

int Broadcast(void* data, size_t bytes, int root, NcclCommunicator communicator, void* stream) {
  Communicator& own = Of(communicator);
  GroupStart();
  int result = kNcclSuccess;
  for (int peer = 0; peer < own.ranks() && result == kNcclSuccess; ++peer) {
    if (own.rank() == root && peer != root) result = Add(communicator, peer, true, data, bytes, stream);
  }
  if (own.rank() != root) result = Add(communicator, root, false, data, bytes, stream);
  const int given = GroupEnd();
  return result != kNcclSuccess ? result : given;
}

// The id is the path of the board.
int GetUniqueId(NcclUniqueId* id) {
  char path[] = "/dev/shm/ft-fake-nccl-XXXXXX";
  const int file = ::mkstemp(path);
  if (file < 0) return cuda::kNcclInternalError;
  const bool sized = ::ftruncate(file, sizeof(Board)) == 0;
  ::close(file);
  static_assert(sizeof(path) <= sizeof(id->bytes));
  std::memcpy(id->bytes, path, sizeof(path));
  return sized ? kNcclSuccess : cuda::kNcclInternalError;
}

int InitRank(NcclCommunicator* communicator, int ranks, const NcclUniqueId& id, int rank) {
  *communicator = nullptr;
  if (ranks < 1 || ranks > kMostRanks || rank < 0 || rank >= ranks) return kNcclInvalidArgument;
  const int file = ::open(id.bytes, O_RDWR | O_CLOEXEC);
  if (file < 0) return cuda::kNcclInternalError;
  void* const mapped = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) return cuda::kNcclInternalError;
  auto* const board = static_cast<Board*>(mapped);  // Zeros are a board where nothing has happened.
  *communicator = new Communicator(board, rank, ranks);
  if (++board->attached == ranks) ::unlink(id.bytes);
  return kNcclInProgress;
}

int AsyncError(NcclCommunicator communicator, int* result) {
  Communicator& own = Of(communicator);
  *result = kNcclSuccess;
  if (!own.Complete()) *result = kNcclInProgress;
  if (own.questions_until_ended > 0) {
    --own.questions_until_ended;
    *result = kNcclInProgress;
  }
  if (own.PeerAborted()) *result = kNcclRemoteError;
  return kNcclSuccess;
}

// Work that was given may still look at it, so it stays.
int Abort(NcclCommunicator communicator) {
  Of(communicator).Abort();
  return kNcclSuccess;
}

int Destroy(NcclCommunicator communicator) {
  delete static_cast<Communicator*>(communicator);
  return kNcclSuccess;
}

const char* ResultText(int result) {
  switch (result) {
    case kNcclSuccess: return "no error";
    case kNcclInvalidArgument: return "invalid argument";
    case kNcclRemoteError: return "remote process exited or there was a network error";
    case kNcclInProgress: return "NCCL operation in progress";
    default: return "internal error";
  }
}

}  // namespace

const cuda::NcclApi& FakeNccl() {
  static const cuda::NcclApi api{.get_unique_id = GetUniqueId,
                                 .init_rank = InitRank,
                                 .async_error = AsyncError,
                                 .abort = Abort,
                                 .destroy = Destroy,
                                 .group_start = GroupStart,
                                 .group_end = GroupEnd,
                                 .send = Send,
                                 .receive = Receive,
                                 .all_gather = AllGather,
                                 .broadcast = Broadcast,
                                 .error_text = ResultText,
                                 .last_error = [](NcclCommunicator) { return ""; },
                                 .version = [] { return 0; }};
  return api;
}

}  // namespace ft::simdevice
