#include "tests/simdevice/runtime/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "tests/simdevice/runtime/die.h"

namespace ft::simdevice {
namespace {

constexpr size_t kRounding = 512;  // As CUDA's allocations are.
constexpr size_t kGuard = 64;
constexpr size_t kLeastRange = size_t{1} << 36;  // Address space only.
constexpr int kNobodys = 0xff;

size_t RoundUp(size_t bytes) { return (bytes + kRounding - 1) / kRounding * kRounding; }

void* MapOrDie(size_t bytes, int rights) {
  void* at = ::mmap(nullptr, bytes, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) Die("no address space of %zu bytes (ulimit -v?)", bytes);
  return at;
}

// Whether all bytes are as nobody left them.
bool Untouched(const std::byte* bytes, size_t count) {
  if (count == 0) return true;
  return bytes[0] == std::byte{kNobodys} && std::memcmp(bytes, bytes + 1, count - 1) == 0;
}

}  // namespace

DeviceMemory::DeviceMemory(size_t capacity)
    : capacity_(capacity), range_(std::max(kLeastRange, 8 * capacity)) {
  base_ = next_ = reinterpret_cast<uintptr_t>(MapOrDie(range_, PROT_NONE));
  bytes_ = static_cast<std::byte*>(MapOrDie(range_, PROT_READ | PROT_WRITE));
}

bool DeviceMemory::Contains(const void* address) const {
  return reinterpret_cast<uintptr_t>(address) - base_ < range_;
}

std::byte* DeviceMemory::Host(const void* address) const {
  return bytes_ + (reinterpret_cast<uintptr_t>(address) - base_);
}

bool DeviceMemory::IsLive(const void* address) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const auto after = blocks_.upper_bound(at);
  if (after == blocks_.begin()) return false;
  const auto& [begin, block] = *std::prev(after);
  return at - begin <= block.bytes && !block.freed;
}

void* DeviceMemory::Allocate(size_t bytes) {
  const size_t counted = RoundUp(bytes);
  if (bytes > capacity_ || counted > capacity_ - std::min(held_, capacity_)) return nullptr;
  const size_t reserved = RoundUp(bytes + kGuard);
  const uintptr_t at = TakeRoom(reserved);
  if (at == 0) return nullptr;
  blocks_[at] = {bytes, counted, reserved, false};
  held_ += counted;
  ++stats_.blocks;
  stats_.requested += bytes;
  stats_.allocated += counted;
  stats_.allocated_ever += counted;
  stats_.peak = std::max(stats_.peak, stats_.allocated);
  return reinterpret_cast<void*>(at);
}

uintptr_t DeviceMemory::TakeRoom(size_t reserved) {
  for (auto place = room_.begin(); place != room_.end(); ++place) {
    const auto [at, size] = *place;
    if (size < reserved) continue;
    if (!Untouched(bytes_ + (at - base_), reserved)) {
      Die("memory was written after it was freed: is a tensor used on a stream that it was not recorded "
          "for?");
    }
    room_.erase(place);
    if (size > reserved) room_[at + reserved] = size - reserved;
    return at;
  }
  if (reserved > range_ - (next_ - base_)) return 0;
  std::memset(bytes_ + (next_ - base_), kNobodys, reserved);
  next_ += reserved;
  return next_ - reserved;
}

void DeviceMemory::Free(void* address) {
  const auto found = blocks_.find(reinterpret_cast<uintptr_t>(address));
  if (found == blocks_.end() || found->second.freed) Die("memory is freed that is not allocated");
  Block& block = found->second;
  block.freed = true;
  --stats_.blocks;
  stats_.requested -= block.bytes;
  stats_.allocated -= block.counted;
  stats_.freed_ever += block.counted;
}

void DeviceMemory::Release(void* address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const Block block = blocks_.extract(at).mapped();
  std::byte* bytes = bytes_ + (at - base_);
  if (!Untouched(bytes + block.bytes, block.reserved - block.bytes)) {
    Die("something was written past the end of %zu bytes of device memory", block.bytes);
  }
  std::memset(bytes, kNobodys, block.bytes);
  held_ -= block.counted;
  GiveRoom(at, block.reserved);
}

void DeviceMemory::GiveRoom(uintptr_t at, size_t reserved) {
  const auto after = room_.lower_bound(at);
  if (after != room_.end() && at + reserved == after->first) {
    reserved += after->second;
    room_.erase(after);
  }
  const auto next = room_.lower_bound(at);
  if (next != room_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == at) {
      before->second += reserved;
      return;
    }
  }
  room_[at] = reserved;
}

void DeviceMemory::CountAllocation(bool granted) {
  ++stats_.allocations;
  if (!granted) ++stats_.out_of_memory;
}

void DeviceMemory::ResetAccumulated() {
  stats_.allocated_ever = stats_.freed_ever = 0;
  stats_.allocations = stats_.out_of_memory = 0;
}

}  // namespace ft::simdevice
