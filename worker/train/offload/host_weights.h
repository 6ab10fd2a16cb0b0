// Weights in the memory of a device's host.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/base/status.h"
#include "worker/model/params/weight_tier.h"

namespace ft::offload {

// An error where the host has no room for so many bytes of `what`.
using CheckRoom = std::function<Status(int64_t bytes, const std::string& what)>;

// Pinned, in blocks that are powers of two: LibTorch rounds a pinned block up to one. Copies wait in the order of the device's current stream, so
// nobody waits on the host. REQUIRES: a device other than the host.
std::unique_ptr<params::WeightTier> MakeHostWeights(at::Device device, CheckRoom check_room = {});

}  // namespace ft::offload
