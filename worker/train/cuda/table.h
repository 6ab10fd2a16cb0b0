// What libft_cuda.so exports: one function that gives one table. The library links libtorch_cuda, NCCL and
// the CUDA kernels, so that a rank without a GPU loads none of them.
#pragma once

#include <cstdint>
#include <string>

#include "worker/model/ops/kernel_table.h"

namespace ft::cuda {

// Grows when the table changes: program and library come from one build.
inline constexpr int64_t kTableVersion = 1;

struct Table {
  int64_t version;
  const ops::KernelTable* kernels;
  // Empty when the driver can run this build; else one sentence that names the oldest driver that can.
  std::string (*check_driver)();
  // Bytes that the process may take on a device, as a share of all of it; the allocator fails beyond.
  void (*set_memory_share)(int device, double share);
};

inline constexpr const char* kTableSymbol = "FtCudaTable";
using TableFunction = const Table* (*)();

}  // namespace ft::cuda
