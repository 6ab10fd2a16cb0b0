// The device that tests of LibTorch code run on: the host's, or with FT_TEST_DEVICE=gpu that of the library which FT_CUDA_LIBRARY names
// (docs/simulated-device.md), so that one source is a test of both. With FT_TEST_BF16_PRODUCTS=emulated the host computes as a CPU
// that multiplies bfloat16.
#pragma once

#include <torch/types.h>

namespace ft {

at::Device TestDevice();

}  // namespace ft
