#include "worker/device/memory.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <fstream>
#include <string>

namespace ft::device {
namespace {

using c10::CachingAllocator::StatType;

int64_t PeakOfProcess() {
  std::ifstream status("/proc/self/status");
  std::string key;
  while (status >> key) {
    int64_t kilobytes = 0;
    if (key == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

c10::CachingAllocator::Stat AllocatedOf(at::Device device) {
  c10::DeviceAllocator* allocator = c10::getDeviceAllocator(device.type());
  return allocator->getDeviceStats(device.index()).allocated_bytes[static_cast<size_t>(StatType::AGGREGATE)];
}

}  // namespace

int64_t PeakBytes(at::Device device) { return device.is_cpu() ? PeakOfProcess() : AllocatedOf(device).peak; }

}  // namespace ft::device
