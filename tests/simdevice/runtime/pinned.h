// Host memory that a device copies from and to by itself, in the order of a stream: what was called pinned (cudaHostAlloc).
#pragma once

#include <cstddef>

namespace ft::simdevice {

// Aligned to 64 bytes; null for no bytes. All threads.
void* AllocatePinned(size_t bytes);
void FreePinned(void* pointer);
// Whether the address lies in such memory.
bool IsPinned(const void* address);

}  // namespace ft::simdevice
