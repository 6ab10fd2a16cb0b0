// Memory of simulated devices and pinned host memory, as LibTorch asks for them.
#pragma once

#include <c10/core/CachingDeviceAllocator.h>

namespace ft::simdevice {

// Allocates on the calling thread's current device, for its current stream; throws c10::OutOfMemoryError. Both live as long as the
// process.
c10::DeviceAllocator& DeviceMemoryAllocator();
c10::Allocator& PinnedMemoryAllocator();

}  // namespace ft::simdevice
