#include "worker/train/cuda/table.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/nf4/nf4_cuda.h"
#include "kernels/philox/philox_cuda.h"
#include "kernels/rms_norm/rms_norm_cuda.h"
#include "kernels/rope/rope_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"
#include "worker/train/cuda/driver.h"

namespace ft::cuda {
namespace {

template <typename T>
ops::KernelsOf<T> Kernels() {
  return {.nf4_dequantise = kernels::LaunchNf4Dequantise<T>,
          .dropout = kernels::LaunchDropout<T>,
          .rope = kernels::LaunchRope<T>,
          .rms_norm_forward = kernels::LaunchRmsNormForward<T>,
          .rms_norm_backward = kernels::LaunchRmsNormBackward<T>,
          .rms_norm_weight_gradient = kernels::LaunchRmsNormWeightGradient<T>,
          .column_sum = kernels::LaunchColumnSum<T>,
          .swiglu_forward = kernels::LaunchSwigluForward<T>,
          .swiglu_backward = kernels::LaunchSwigluBackward<T>,
          .cross_entropy = kernels::LaunchCrossEntropy<T>};
}

void SetMemoryShare(int device, double share) {
  c10::cuda::CUDACachingAllocator::setMemoryFraction(share, static_cast<c10::DeviceIndex>(device));
}

const ops::KernelTable& CudaKernels() {
  static const ops::KernelTable kernels{
      .f32 = Kernels<float>(),
      .bf16 = Kernels<kernels::BF16>(),
      .nf4_quantise = kernels::LaunchNf4Quantise,
      .nested_dequantise = kernels::LaunchNestedDequantise,
      .current_stream = +[]() -> void* { return c10::cuda::getCurrentCUDAStream().stream(); },
      .error_text = +[](int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }};
  return kernels;
}

}  // namespace
}  // namespace ft::cuda

extern "C" __attribute__((visibility("default"))) const ft::cuda::Table* FtCudaTable() {
  static const ft::cuda::Table table{.version = ft::cuda::kTableVersion,
                                     .kernels = &ft::cuda::CudaKernels(),
                                     .check_driver = ft::cuda::CheckDriver,
                                     .set_memory_share = ft::cuda::SetMemoryShare};
  return &table;
}
