#include "worker/model/ops/cuda_kernels.h"

#include "core/base/check.h"

namespace ft::ops {
namespace {

const CudaKernels* cuda_kernels = nullptr;  // Written once, before the training thread starts to compute.

}  // namespace

void UseCudaKernels(const CudaKernels* kernels) { cuda_kernels = kernels; }

const CudaKernels& Cuda() {
  FT_CHECK(cuda_kernels != nullptr) << "libft_cuda.so is not open";
  return *cuda_kernels;
}

}  // namespace ft::ops
