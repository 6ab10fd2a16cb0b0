// The memory of one simulated device. A device address is a place in a reserved range to which nobody has access rights: whoever
// reads it on the host dies of SIGSEGV, and a system call that is given it answers EFAULT. The bytes lie at a constant distance, in a
// second mapping, where only the device's work looks for them (Host below).
//
// Bytes that belong to nobody are 0xff, which is NaN in every float type: fresh ones, and those of blocks that were released. Behind
// each block lie at least 64 such bytes, which are looked at when it is released; all bytes of a block are looked at when it is given
// out again. Who wrote where nothing was his ends the process with a sentence.
//
// No locks: the device that owns it has one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace ft::simdevice {

// As LibTorch's caching allocator counts: sizes are rounded up to 512 bytes, a block counts until it is freed (not until the stream
// has got that far), so the numbers are the same whenever work runs.
struct MemoryStats {
  size_t allocated = 0;
  size_t peak = 0;
  size_t allocated_ever = 0;
  size_t freed_ever = 0;
  size_t requested = 0;
  size_t blocks = 0;
  uint64_t allocations = 0;    // Asked for, refused ones too.
  uint64_t out_of_memory = 0;  // Refused.
};

class DeviceMemory {
 public:
  explicit DeviceMemory(size_t capacity);
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  // A block's life: Allocate, Free when nobody will use it any more in work that is yet to be given, Release when all work that was
  // given has run. Null when blocks that are not released leave no room.
  void* Allocate(size_t bytes);
  void Free(void* block);
  void Release(void* block);

  // Whether the address is the device's at all; whether it lies in a block that was not freed, or one past its end.
  bool Contains(const void* address) const;
  bool IsLive(const void* address) const;
  // Where the bytes of a device address are. REQUIRES: Contains(address).
  std::byte* Host(const void* address) const;

  size_t capacity() const { return capacity_; }
  void set_capacity(size_t bytes) { capacity_ = bytes; }
  const MemoryStats& stats() const { return stats_; }
  void CountAllocation(bool granted);
  void ResetPeak() { stats_.peak = stats_.allocated; }
  void ResetAccumulated();

 private:
  struct Block {
    size_t bytes = 0;     // As asked for.
    size_t counted = 0;   // Rounded.
    size_t reserved = 0;  // With what lies behind.
    bool freed = false;
  };
  uintptr_t TakeRoom(size_t reserved);
  void GiveRoom(uintptr_t at, size_t reserved);

  size_t capacity_;
  size_t range_ = 0;
  uintptr_t base_ = 0;
  uintptr_t next_ = 0;  // Nothing beyond was ever given out.
  std::byte* bytes_ = nullptr;
  size_t held_ = 0;  // Counted bytes of blocks that are not released.
  std::map<uintptr_t, Block> blocks_;
  std::map<uintptr_t, size_t> room_;  // Released, by address, neighbours joined.
  MemoryStats stats_;
};

}  // namespace ft::simdevice
