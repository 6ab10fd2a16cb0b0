#include "worker/model/ops/dynamic_map.h"

#include <mutex>
#include <unordered_map>

#include "kernels/dynamic_map/dynamic_map.h"
#include "worker/device/staging.h"

namespace ft::ops {
namespace {

torch::Tensor Table(const float* map) { return torch::tensor(at::ArrayRef<float>(map, 256)); }

}  // namespace

DynamicMaps DynamicMapsOn(at::Device device) {
  // Kept until the process ends: a device may be gone before static objects are. Backward on a device has a thread of its own.
  static std::mutex mutex;
  static auto* const by_device = new std::unordered_map<at::Device, DynamicMaps>();
  const std::lock_guard lock(mutex);
  DynamicMaps& maps = (*by_device)[device];
  if (!maps.signed_map.defined()) {
    maps = {device::Upload(Table(kernels::DynamicMapSigned()), device),
            device::Upload(Table(kernels::DynamicMapUnsigned()), device)};
  }
  return maps;
}

}  // namespace ft::ops
