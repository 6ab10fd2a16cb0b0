#include "tests/simdevice/runtime/pinned.h"

#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>

#include "tests/simdevice/runtime/die.h"

namespace ft::simdevice {
namespace {

constexpr size_t kAlignment = 64;

struct Blocks {
  std::mutex mutex;  // Guards `sizes`.
  std::map<uintptr_t, size_t> sizes;
};

Blocks& AllBlocks() {
  static auto* blocks = new Blocks;  // Tensors may outlive static objects.
  return *blocks;
}

}  // namespace

void* AllocatePinned(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* pointer = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (pointer == nullptr) Die("no host memory of %zu bytes", bytes);
  const std::lock_guard lock(AllBlocks().mutex);
  AllBlocks().sizes[reinterpret_cast<uintptr_t>(pointer)] = bytes;
  return pointer;
}

void FreePinned(void* pointer) {
  {
    const std::lock_guard lock(AllBlocks().mutex);
    AllBlocks().sizes.erase(reinterpret_cast<uintptr_t>(pointer));
  }
  std::free(pointer);
}

bool IsPinned(const void* address) {
  const std::lock_guard lock(AllBlocks().mutex);
  const auto at = reinterpret_cast<uintptr_t>(address);
  const auto after = AllBlocks().sizes.upper_bound(at);
  if (after == AllBlocks().sizes.begin()) return false;
  const auto& [begin, bytes] = *std::prev(after);
  return at - begin < bytes;
}

}  // namespace ft::simdevice
