#include "tests/simdevice/allocators.h"

#include <cstring>

#include "tests/simdevice/current.h"
#include "tests/simdevice/runtime/pinned.h"

namespace ft::simdevice {
namespace {

class DeviceAllocator final : public c10::DeviceAllocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    Device& device = Device::At(CurrentDevice());
    const c10::Device named(kType, CurrentDevice());
    Check(device.fault());
    if (bytes == 0) return {nullptr, nullptr, &Delete, named};
    void* block = device.Allocate(bytes, CurrentStream(device));
    const MemoryStats stats = device.memory_stats();
    TORCH_CHECK_WITH(OutOfMemoryError, block != nullptr, "CUDA out of memory. Tried to allocate ", bytes,
                     " bytes. GPU ", device.index(), " has a total capacity of ", device.capacity(),
                     " bytes of which ", device.capacity() - std::min(stats.allocated, device.capacity()),
                     " bytes are free.");
    return {block, block, &Delete, named};
  }
  // Whatever has gone wrong: destructors come here.
  static void Delete(void* block) {
    if (block != nullptr) Device::Of(block)->Free(block);
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Delete; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    Device& device = *Device::Of(to);
    std::byte* target = device.Host(to);
    const std::byte* source = Device::Of(from)->Host(from);
    Check(device.Launch(CurrentStream(device), [=] { std::memcpy(target, source, bytes); }));
  }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {
    for (int i = 0; i < Device::Count(); ++i) Check(Device::At(i).SynchronizeDevice());
  }
  void recordStream(const c10::DataPtr& data, c10::Stream stream) override {
    if (data.get() != nullptr) Device::Of(data.get())->RecordUse(data.get(), Of(stream));
  }
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex index) override {
    const MemoryStats from = Device::At(index).memory_stats();
    c10::CachingDeviceAllocator::DeviceStats stats;
    const auto whole = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    for (auto* bytes : {&stats.allocated_bytes, &stats.reserved_bytes, &stats.active_bytes}) {
      auto& stat = (*bytes)[whole];
      stat.current = static_cast<int64_t>(from.allocated);
      stat.peak = static_cast<int64_t>(from.peak);
      stat.allocated = static_cast<int64_t>(from.allocated_ever);
      stat.freed = static_cast<int64_t>(from.freed_ever);
    }
    stats.requested_bytes[whole].current = static_cast<int64_t>(from.requested);
    stats.allocation[whole].current = static_cast<int64_t>(from.blocks);
    stats.num_ooms = static_cast<int64_t>(from.out_of_memory);
    return stats;
  }
  void resetAccumulatedStats(c10::DeviceIndex index) override { Device::At(index).ResetAccumulated(); }
  void resetPeakStats(c10::DeviceIndex index) override { Device::At(index).ResetPeak(); }
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex index) override {
    const Device& device = Device::At(index);
    Check(device.fault());
    const size_t capacity = device.capacity();
    return {capacity - std::min(device.memory_stats().allocated, capacity), capacity};
  }
};

class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* data = AllocatePinned(bytes);
    return {data, data, &FreePinned, at::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &FreePinned; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

}  // namespace

c10::DeviceAllocator& DeviceMemoryAllocator() {
  static auto* allocator = new DeviceAllocator;
  return *allocator;
}

c10::Allocator& PinnedMemoryAllocator() {
  static auto* allocator = new PinnedAllocator;
  return *allocator;
}

}  // namespace ft::simdevice
