// What only a GPU can show of the kernels, as one command (docs/gpu.md).
#pragma once

#include <string>
#include <vector>

namespace ft::rank {

// gpu-check: opens libft_cuda.so and computes every operation with a kernel of its own on the CPU and on the
// first CUDA device; one line an operation with the largest difference and its limit. Status 0 = all within,
// 1 = not, or no usable device, and then it says why. REQUIRES: no LibTorch call before it.
int GpuCheckVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
