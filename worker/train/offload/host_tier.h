// Tiles in the memory of a device's host.
#pragma once

#include <memory>

#include "worker/train/offload/tier.h"

namespace ft::offload {

// Pinned, a block a tile: LibTorch rounds a pinned block up to a power of two, which a whole tile of float32 moments is. Copies wait in the
// order of the device's current stream, so nobody waits on the host. REQUIRES: a device other than the host.
std::unique_ptr<Tier> MakeHostTier(plan::StateTiles tiles, at::Device device);

}  // namespace ft::offload
