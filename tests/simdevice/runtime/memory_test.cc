#include "tests/simdevice/runtime/memory.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "gtest/gtest.h"
#include "tests/simdevice/runtime/pinned.h"

namespace ft::simdevice {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

bool AllOnes(const std::byte* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (bytes[i] != std::byte{0xff}) return false;
  }
  return true;
}

TEST(SimDeviceMemory, FreshAndReleasedBytesAreNobodys) {
  DeviceMemory memory(kMiB);
  void* block = memory.Allocate(1000);
  EXPECT_TRUE(AllOnes(memory.Host(block), 1000));
  std::memset(memory.Host(block), 7, 1000);
  memory.Free(block);
  EXPECT_EQ(memory.Host(block)[999], std::byte{7});  // Work that was given before may still read it.
  memory.Release(block);
  EXPECT_TRUE(AllOnes(memory.Host(block), 1000));
}

TEST(SimDeviceMemory, ASystemCallIsRefused) {
  DeviceMemory memory(kMiB);
  void* block = memory.Allocate(64);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(::write(ends[1], block, 64), -1);
  EXPECT_EQ(errno, EFAULT);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_EQ(::read(ends[0], block, 1), -1);
  EXPECT_EQ(errno, EFAULT);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(SimDeviceMemory, AWritePastTheEndIsMetWhenTheBlockGoes) {
  DeviceMemory memory(kMiB);
  for (const size_t past : {size_t{100}, size_t{163}}) {
    void* block = memory.Allocate(100);
    std::byte* bytes = memory.Host(block);
    memory.Free(block);
    EXPECT_DEATH(
        {
          bytes[past] = std::byte{0};
          memory.Release(block);
        },
        "written past the end of 100 bytes");
    memory.Release(block);
  }
}

TEST(SimDeviceMemory, AWriteAfterReleaseIsMetWhenTheRoomIsGivenAgain) {
  DeviceMemory memory(kMiB);
  void* block = memory.Allocate(100);
  std::byte* bytes = memory.Host(block);
  memory.Free(block);
  memory.Release(block);
  EXPECT_DEATH(
      {
        bytes[5] = std::byte{0};
        memory.Allocate(100);
      },
      "written after it was freed");
  EXPECT_EQ(memory.Allocate(100), block);
}

TEST(SimDeviceMemory, WhatIsNotAllocatedCannotBeFreed) {
  DeviceMemory memory(kMiB);
  void* block = memory.Allocate(100);
  memory.Free(block);
  EXPECT_DEATH(memory.Free(block), "freed that is not allocated");
}

TEST(SimDeviceMemory, RoomIsJoinedAndUsedAgain) {
  DeviceMemory memory(kMiB);
  void* blocks[4];
  for (void*& block : blocks) block = memory.Allocate(200);
  for (const int i : {0, 2, 1, 3}) {
    memory.Free(blocks[i]);
    memory.Release(blocks[i]);
  }
  EXPECT_EQ(memory.Allocate(1900), blocks[0]);  // 4 times 512, less the guard.
}

TEST(SimDeviceMemory, CapacityIsOfBlocksThatAreNotReleased) {
  DeviceMemory memory(2048);
  void* first = memory.Allocate(1500);
  EXPECT_EQ(memory.Allocate(513), nullptr);
  void* second = memory.Allocate(512);
  EXPECT_NE(second, nullptr);
  memory.Free(first);
  EXPECT_EQ(memory.Allocate(1), nullptr);
  memory.Release(first);
  EXPECT_NE(memory.Allocate(1), nullptr);
  EXPECT_EQ(memory.Allocate(SIZE_MAX), nullptr);
}

TEST(SimDeviceMemory, StatisticsCountBlocksUntilTheyAreFreed) {
  DeviceMemory memory(kMiB);
  void* first = memory.Allocate(1000);
  void* second = memory.Allocate(100);
  EXPECT_EQ(memory.stats().allocated, 1536u);
  EXPECT_EQ(memory.stats().requested, 1100u);
  memory.Free(first);
  EXPECT_EQ(memory.stats().allocated, 512u);
  EXPECT_EQ(memory.stats().peak, 1536u);
  EXPECT_EQ(memory.stats().blocks, 1u);
  memory.ResetPeak();
  EXPECT_EQ(memory.stats().peak, 512u);
  EXPECT_TRUE(memory.IsLive(static_cast<char*>(second) + 50));
  EXPECT_FALSE(memory.IsLive(first));
}

TEST(SimDevicePinned, IsHostMemoryWithAName) {
  auto* pinned = static_cast<char*>(AllocatePinned(100));
  char other = 0;
  EXPECT_TRUE(IsPinned(pinned));
  EXPECT_TRUE(IsPinned(pinned + 99));
  EXPECT_FALSE(IsPinned(pinned + 100));
  EXPECT_FALSE(IsPinned(&other));
  FreePinned(pinned);
  EXPECT_FALSE(IsPinned(pinned));
  EXPECT_EQ(AllocatePinned(0), nullptr);
}

}  // namespace
}  // namespace ft::simdevice
