#include "worker/model/ops/kernel_table.h"

#include <array>

#include "core/base/check.h"

namespace ft::ops {
namespace {

// Written once a kind of device, before the training thread starts to compute.
std::array<const KernelTable*, c10::COMPILE_TIME_MAX_DEVICE_TYPES> tables = {};

}  // namespace

void UseKernels(c10::DeviceType device, const KernelTable* table) {
  tables[static_cast<size_t>(device)] = table;
}

const KernelTable& KernelsFor(const torch::Tensor& tensor) {
  const c10::DeviceType device = tensor.device().type();
  if (device == c10::DeviceType::CPU) return CpuKernels();
  const KernelTable* table = tables[static_cast<size_t>(device)];
  FT_CHECK(table != nullptr) << "no kernels are loaded for " << c10::DeviceTypeName(device);
  return *table;
}

}  // namespace ft::ops
