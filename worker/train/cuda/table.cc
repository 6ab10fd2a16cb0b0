#include "worker/train/cuda/table.h"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>
#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "kernels/adamw_8bit/adamw_8bit_cuda.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/nf4/nf4_cuda.h"
#include "kernels/philox/philox_cuda.h"
#include "kernels/rms_norm/rms_norm_cuda.h"
#include "kernels/rope/rope_cuda.h"
#include "kernels/sha256/sha256_cuda.h"
#include "kernels/squares/squares_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"
#include "kernels/tree_add/tree_add_cuda.h"
#include "worker/train/cuda/driver.h"
#include "worker/train/cuda/nccl_table.h"

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

std::string Libraries() {
  int cublas = 0;
  if (cublasGetVersion(at::cuda::getCurrentCUDABlasHandle(), &cublas) != CUBLAS_STATUS_SUCCESS) cublas = 0;
  return "cublas=" + std::to_string(cublas) +
         " cudnn=" + std::to_string(at::detail::getCUDAHooks().versionCuDNN());
}

std::string Bus(int device) {
  char bus[32] = "";
  return cudaDeviceGetPCIBusId(bus, sizeof(bus), device) == cudaSuccess ? bus : "";
}

DeviceDescription Describe(int device) {
  const cudaDeviceProp& card = *at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(device));
  return {.name = card.name,
          .major = card.major,
          .minor = card.minor,
          .multiprocessors = card.multiProcessorCount,
          .memory_bytes = static_cast<int64_t>(card.totalGlobalMem),
          .libraries = Libraries(),
          .bus = Bus(device)};
}

const ops::KernelTable& CudaKernels() {
  static const ops::KernelTable kernels{
      .f32 = Kernels<float>(),
      .bf16 = Kernels<kernels::BF16>(),
      .nf4_quantise = kernels::LaunchNf4Quantise,
      .nested_dequantise = kernels::LaunchNestedDequantise,
      .swiglu_forward_rounded = kernels::LaunchSwigluForwardRounded,
      .sums_of_squares = kernels::LaunchSumsOfSquares,
      .sha256 = kernels::LaunchSha256,
      .tree_add = kernels::LaunchTreeAdd,
      .adamw_8bit = kernels::LaunchAdamW8bit,
      .current_stream = +[]() -> void* { return c10::cuda::getCurrentCUDAStream().stream(); },
      .multiplies_bf16 = +[] { return at::cuda::getCurrentDeviceProperties()->major >= 8; },
      .error_text = +[](int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }};
  return kernels;
}

}  // namespace
}  // namespace ft::cuda

extern "C" __attribute__((visibility("default"))) const ft::cuda::Table* FtCudaTable() {
  static const ft::cuda::Table table{.version = ft::cuda::kTableVersion,
                                     .kernels = &ft::cuda::CudaKernels(),
                                     .check_driver = ft::cuda::CheckDriver,
                                     .set_memory_share = ft::cuda::SetMemoryShare,
                                     .describe = ft::cuda::Describe,
                                     .nccl = &ft::cuda::LinkedNccl()};
  return &table;
}
