#include "worker/model/ops/kernel_table.h"

#include <array>
#include <string>

#include "core/base/check.h"

namespace ft::ops {
namespace {

// Written once a kind of device, before the training thread starts to compute.
std::array<const KernelTable*, c10::COMPILE_TIME_MAX_DEVICE_TYPES> tables = {};

}  // namespace

void UseKernels(c10::DeviceType device, const KernelTable* table) {
  tables[static_cast<size_t>(device)] = table;
}

const KernelTable& KernelsFor(at::Device device) {
  if (device.is_cpu()) return CpuKernels();
  const KernelTable* table = tables[static_cast<size_t>(device.type())];
  FT_CHECK(table != nullptr) << "no kernels are loaded for " << device.str();
  return *table;
}

void ThrowLaunchError(const KernelTable& table, int error) {
  if (error == 0) return;
  throw c10::AcceleratorError({__func__, __FILE__, __LINE__}, error,
                              std::string("kernel: ") + table.error_text(error));
}

}  // namespace ft::ops
