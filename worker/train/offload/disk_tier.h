// Tiles in a file, read and written by threads of the tier's own.
#pragma once

#include <chrono>
#include <memory>

#include "worker/train/offload/tier.h"
#include "worker/train/offload/tile_file.h"

namespace ft::offload {

struct DiskOptions {
  // Two to four keep a disk busy with pieces of a MiB, and mostly sleep.
  int threads = 3;
  // Of waiting for one tile. A disk that is slower than this is held to hang.
  std::chrono::milliseconds timeout = std::chrono::minutes(5);
  bool pinned = false;  // Buffers are copied to and from a device.
  // Called on the waiting thread whenever a tile has come or gone: a large state takes longer than whoever watches waits. May be empty.
  std::function<void()> progress = {};
};

// REQUIRES: a file of tiles.bytes() bytes.
std::unique_ptr<Tier> MakeDiskTier(plan::StateTiles tiles, std::unique_ptr<TileFile> file,
                                   DiskOptions options = {});

}  // namespace ft::offload
