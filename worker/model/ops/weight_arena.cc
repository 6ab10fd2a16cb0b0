#include "worker/model/ops/weight_arena.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace ft::ops {

std::shared_ptr<WeightArena> WeightArena::On(at::Device device) {
  if (device.is_cpu()) return nullptr;
  // Who keeps an arena owns it; this only lets the others find it.
  static std::mutex mutex;
  static auto* const by_device = new std::unordered_map<at::Device, std::weak_ptr<WeightArena>>();
  const std::lock_guard lock(mutex);
  std::weak_ptr<WeightArena>& known = (*by_device)[device];
  std::shared_ptr<WeightArena> arena = known.lock();
  if (arena == nullptr) known = arena = std::shared_ptr<WeightArena>(new WeightArena(device));
  return arena;
}

WeightArena::Matrix WeightArena::Take(int64_t rows, int64_t columns, at::ScalarType type) {
  Matrix matrix;
  matrix.turn_ = std::unique_lock(mutex_);
  torch::Tensor& bytes = bytes_of_stream_[c10::impl::VirtualGuardImpl(device_.type()).getStream(device_)];
  const int64_t wanted = rows * columns * static_cast<int64_t>(c10::elementSize(type));
  if (!bytes.defined() || bytes.numel() < wanted) {
    bytes.reset();  // Before more is asked for: only one of them need fit.
    bytes = torch::empty({wanted}, at::TensorOptions(device_).dtype(at::kByte));
  }
  matrix.tensor_ = bytes.narrow(0, 0, wanted).view(type).view({rows, columns});
  return matrix;
}

}  // namespace ft::ops
