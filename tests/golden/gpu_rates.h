// What a device can do at most, and what our NF4 kernel does of it, as one command for the benchmark (bench/gpu_bench.py).
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::golden {

// gpu-rates [--rows N] [--columns N] [--copy-mib N] [--gemm N] [--calls N]: prints one JSON object on one line:
//   card                   as the driver names it
//   memory_bytes           all of the card's
//   copy_bytes_per_second  bytes read and bytes written by copies within the device's memory
//   gemm_flops             operations a second of a bf16 product of three equal sides
//   nf4_bytes_per_second   bytes read and bytes written by dequantising a weight of rows x columns from NF4 to bf16
// Each is the mean of `calls` calls, one behind the other, after three that warm up. Errors of OpenDevice where there is no usable
// GPU. REQUIRES: no LibTorch call before it.
StatusOr<bool> GpuRatesVerb(const std::vector<std::string>& arguments);

}  // namespace ft::golden
