#include "worker/train/cuda/driver.h"

#include <cuda_runtime_api.h>

#include "core/gpu/support.h"

namespace ft::cuda {

std::string DriverRefusal(int driver_cuda) {
  if (driver_cuda >= kOldestCudaOfDriver) return "";
  const std::string needed =
      "this build needs the NVIDIA driver " + std::to_string(kOldestDriverBranch) + " or newer";
  if (driver_cuda == 0) return "no NVIDIA driver was found: " + needed;
  return needed + ", the installed one knows CUDA " + std::to_string(driver_cuda / 1000) + "." +
         std::to_string(driver_cuda % 1000 / 10) + ": update the driver, or use device: cpu";
}

std::string CheckDriver() {
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess) version = 0;
  return DriverRefusal(version);
}

}  // namespace ft::cuda
