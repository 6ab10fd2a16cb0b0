// How much memory a device has and what this process took of it.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace ft::device {

// The most bytes that this process held at a time: of the host's memory all of it, of a device's what LibTorch's allocator held for
// tensors (the device's own context comes on top). 0 where nothing tells.
int64_t PeakBytes(at::Device device);

}  // namespace ft::device
