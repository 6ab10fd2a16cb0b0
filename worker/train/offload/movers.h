// Threads that move bytes between memory and files past the page cache, a MiB at a time.
#pragma once

#include <torch/types.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/base/status.h"
#include "worker/train/offload/tile_file.h"

namespace ft::offload {

// Memory as files that go past the page cache want it: uint8, at a multiple of plan::kTileAlignment.
torch::Tensor AlignedMemory(int64_t bytes, bool pinned);

// That `what` ("tile 17 of 20 of ...") was not moved: RESOURCE_EXHAUSTED for a full disk, else ABORTED.
Status MoveFailed(const std::string& what, bool writes, int error);

class Movers {
 public:
  // Bytes on their way; held for as long as a piece of them may be.
  struct Transfer;

  explicit Movers(int threads);
  // What has not begun is left.
  ~Movers();

  // Begins to fill `memory` from the file, or the other way. REQUIRES: memory, offset and size as TileFile wants them; nobody touches the
  // memory until Wait was called.
  std::shared_ptr<Transfer> Start(std::shared_ptr<TileFile> file, int64_t offset, const torch::Tensor& memory,
                                  bool writes);
  // Returns 0, the first errno, or ETIMEDOUT where it took too long.
  int Wait(const Transfer& transfer, std::chrono::milliseconds timeout);

 private:
  struct Piece {
    std::shared_ptr<Transfer> transfer;
    int64_t offset = 0;  // In the file.
    std::span<std::byte> bytes;

    // Moves all of it. Returns 0 or errno.
    int Move() const;
  };
  void Work();

  std::mutex mutex_;  // Guards what follows, and transfers.
  std::condition_variable changed_;
  std::deque<Piece> queue_;  // Of the few buffers that whoever calls has.
  bool ended_ = false;
  std::vector<std::jthread> threads_;  // Last: they use all of the above.
};

}  // namespace ft::offload
