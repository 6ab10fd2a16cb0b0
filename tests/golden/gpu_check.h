// What only a GPU can show of the kernels, as one command (docs/gpu.md).
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::golden {

// gpu-check: opens libft_cuda.so and computes every operation with a kernel of its own on the CPU and on the
// first CUDA device; one line an operation with the largest difference and its limit. True = all within. Errors
// of OpenCudaLibrary where there is no usable device. REQUIRES: no LibTorch call before it.
StatusOr<bool> GpuCheckVerb(const std::vector<std::string>& arguments);

}  // namespace ft::golden
