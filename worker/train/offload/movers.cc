#include "worker/train/offload/movers.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/base/str_cat.h"
#include "core/plan/state_tiles.h"
#include "worker/device/staging.h"

namespace ft::offload {

// Guarded by the threads' mutex, but for file and memory, which belong to them until no piece is left.
struct Movers::Transfer {
  std::shared_ptr<TileFile> file;
  torch::Tensor memory;
  bool writes = false;
  int pieces_left = 0;
  int error = 0;  // The first errno.
};

namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;

}  // namespace

torch::Tensor AlignedMemory(int64_t bytes, bool pinned) {
  const torch::Tensor memory =
      torch::empty({bytes + plan::kTileAlignment}, at::TensorOptions(at::kByte).pinned_memory(pinned));
  const auto over =
      static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory.data_ptr()) % plan::kTileAlignment);
  return memory.narrow(0, over == 0 ? 0 : plan::kTileAlignment - over, bytes);
}

Status MoveFailed(const std::string& what, bool writes, int error) {
  const std::string text = StrCat(what, " could not be ", writes ? "written" : "read", ": ",
                                  std::generic_category().message(error), " (errno ", error, ")");
  const bool full = error == ENOSPC || error == EDQUOT;
  return full ? absl::ResourceExhaustedError(text) : absl::AbortedError(text);
}

int Movers::Piece::Move() const {
  std::span<std::byte> left = bytes;
  while (!left.empty()) {
    const int64_t at = offset + static_cast<int64_t>(bytes.size() - left.size());
    TileFile& file = *transfer->file;
    const int64_t moved = transfer->writes ? file.WriteAt(at, left) : file.ReadAt(at, left);
    if (moved == -EINTR) continue;
    if (moved < 0) return static_cast<int>(-moved);
    if (moved == 0) return transfer->writes ? ENOSPC : EIO;  // The file ended.
    left = left.subspan(static_cast<size_t>(moved));
  }
  return 0;
}

Movers::Movers(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

Movers::~Movers() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    queue_.clear();
  }
  changed_.notify_all();
}

std::shared_ptr<Movers::Transfer> Movers::Start(std::shared_ptr<TileFile> file, int64_t offset,
                                                const torch::Tensor& memory, bool writes) {
  auto transfer =
      std::make_shared<Transfer>(Transfer{.file = std::move(file), .memory = memory, .writes = writes});
  const std::span<std::byte> bytes = device::HostBytes(memory);
  const auto size = static_cast<int64_t>(bytes.size());
  {
    const std::lock_guard lock(mutex_);
    for (int64_t at = 0; at < size; at += kPieceBytes) {
      const int64_t count = std::min(kPieceBytes, size - at);
      queue_.push_back(
          {transfer, offset + at, bytes.subspan(static_cast<size_t>(at), static_cast<size_t>(count))});
      ++transfer->pieces_left;
    }
  }
  changed_.notify_all();
  return transfer;
}

int Movers::Wait(const Transfer& transfer, std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  const bool done = changed_.wait_for(lock, timeout, [&] { return transfer.pieces_left == 0; });
  return done ? transfer.error : ETIMEDOUT;
}

void Movers::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ended_ || !queue_.empty(); });
    if (ended_) return;
    const Piece piece = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const int error = piece.Move();
    lock.lock();
    if (piece.transfer->error == 0) piece.transfer->error = error;
    --piece.transfer->pieces_left;
    changed_.notify_all();
  }
}

}  // namespace ft::offload
