#include "worker/train/offload/disk_tier.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "worker/device/staging.h"

namespace ft::offload {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;

// A tile on its way. Guarded by the threads' mutex, but for `memory`, which belongs to them until no piece is left.
struct Transfer {
  torch::Tensor memory;  // Held for as long as a piece may be on its way.
  bool writes = false;
  int pieces_left = 0;
  int error = 0;  // The first errno.
};

struct Piece {
  std::shared_ptr<Transfer> transfer;
  int64_t offset = 0;  // In the file.
  std::span<std::byte> bytes;
};

// Moves all of a piece. Returns 0 or errno.
int Move(TileFile& file, const Piece& piece) {
  std::span<std::byte> left = piece.bytes;
  while (!left.empty()) {
    const int64_t offset = piece.offset + static_cast<int64_t>(piece.bytes.size() - left.size());
    const int64_t moved = piece.transfer->writes ? file.WriteAt(offset, left) : file.ReadAt(offset, left);
    if (moved == -EINTR) continue;
    if (moved < 0) return static_cast<int>(-moved);
    if (moved == 0) return piece.transfer->writes ? ENOSPC : EIO;  // The file ended.
    left = left.subspan(static_cast<size_t>(moved));
  }
  return 0;
}

// Threads that move pieces. The queue holds the tiles of a pipe's buffers at most.
class Movers {
 public:
  Movers(TileFile& file, int threads) : file_(file) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
  }
  ~Movers() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      queue_.clear();
    }
    changed_.notify_all();
  }

  std::shared_ptr<Transfer> Start(const plan::StateTiles::Tile& tile, const torch::Tensor& memory,
                                  bool writes) {
    auto transfer = std::make_shared<Transfer>(Transfer{.memory = memory, .writes = writes});
    const std::span<std::byte> bytes = device::HostBytes(memory);
    {
      const std::lock_guard lock(mutex_);
      for (int64_t at = 0; at < tile.bytes; at += kPieceBytes) {
        const int64_t count = std::min(kPieceBytes, tile.bytes - at);
        queue_.push_back(
            {transfer, tile.begin + at, bytes.subspan(static_cast<size_t>(at), static_cast<size_t>(count))});
        ++transfer->pieces_left;
      }
    }
    changed_.notify_all();
    return transfer;
  }

  // Returns errno, ETIMEDOUT where it took too long.
  int Wait(const Transfer& transfer, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    const bool done = changed_.wait_for(lock, timeout, [&] { return transfer.pieces_left == 0; });
    return done ? transfer.error : ETIMEDOUT;
  }

 private:
  void Work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return ended_ || !queue_.empty(); });
      if (ended_) return;
      const Piece piece = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      const int error = Move(file_, piece);
      lock.lock();
      if (piece.transfer->error == 0) piece.transfer->error = error;
      --piece.transfer->pieces_left;
      changed_.notify_all();
    }
  }

  TileFile& file_;
  std::mutex mutex_;  // Guards what follows, and transfers.
  std::condition_variable changed_;
  std::deque<Piece> queue_;
  bool ended_ = false;
  std::vector<std::jthread> threads_;  // Last: they use all of the above.
};

class DiskTier final : public Tier {
 public:
  DiskTier(plan::StateTiles tiles, std::unique_ptr<TileFile> file, DiskOptions options)
      : Tier(std::move(tiles)), file_(std::move(file)), options_(options), movers_(*file_, options.threads) {}

  std::string place() const override { return file_->folder().string(); }

  torch::Tensor NewBuffer() const override {
    const int64_t bytes = tiles().largest();
    const torch::Tensor memory = torch::empty({bytes + plan::kTileAlignment},
                                              at::TensorOptions(at::kByte).pinned_memory(options_.pinned));
    const auto over =
        static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory.data_ptr()) % plan::kTileAlignment);
    return memory.narrow(0, over == 0 ? 0 : plan::kTileAlignment - over, bytes);
  }

 private:
  Pending Read(size_t tile, const torch::Tensor& bytes) override {
    return Start(tile, bytes, /*writes=*/false);
  }
  Pending Write(size_t tile, const torch::Tensor& bytes) override {
    return Start(tile, bytes, /*writes=*/true);
  }

  Pending Start(size_t index, const torch::Tensor& bytes, bool writes) {
    return [this, index, transfer = movers_.Start(tile(index), bytes, writes)] {
      const int error = movers_.Wait(*transfer, options_.timeout);
      if (options_.progress) options_.progress();
      return error == 0 ? absl::OkStatus() : Failed(index, transfer->writes, error);
    };
  }

  Status Failed(size_t index, bool writes, int error) const {
    const std::string text =
        StrCat("tile ", index + 1, " of ", tiles().tiles().size(), " of the optimizer's state in ", place(),
               " could not be ", writes ? "written" : "read", ": ", std::generic_category().message(error),
               " (errno ", error, ")");
    const bool full = error == ENOSPC || error == EDQUOT;
    return full ? absl::ResourceExhaustedError(text) : absl::AbortedError(text);
  }

  const std::unique_ptr<TileFile> file_;
  const DiskOptions options_;
  Movers movers_;
};

}  // namespace

std::unique_ptr<Tier> MakeDiskTier(plan::StateTiles tiles, std::unique_ptr<TileFile> file,
                                   DiskOptions options) {
  return std::make_unique<DiskTier>(std::move(tiles), std::move(file), options);
}

}  // namespace ft::offload
