// What libft_cuda.so exports: one function that gives one table. The library links libtorch_cuda, NCCL and
// the CUDA kernels, so that a rank without a GPU loads none of them.
#pragma once

#include <cstdint>
#include <string>

#include "worker/model/ops/kernel_table.h"
#include "worker/train/cuda/nccl_api.h"

namespace ft::cuda {

// Grows when the table or what its kernels take changes: program and library come from one build.
inline constexpr int64_t kTableVersion = 6;

struct DeviceDescription {
  std::string name;          // "NVIDIA H100 80GB HBM3".
  int major = 0, minor = 0;  // Of the compute capability: sm_90 is 9.0.
  int multiprocessors = 0;   // A slice of a card has fewer, and other algorithms are chosen for it.
  int64_t memory_bytes = 0;  // All of it.
  std::string libraries;     // "cublas=130100 cudnn=91900": versions of what computes there.
  std::string bus;           // "0000:65:00.0": which card of this machine it is, or is a slice of.
};

struct Table {
  int64_t version;
  const ops::KernelTable* kernels;
  // Empty when the driver can run this build; else one sentence that names the oldest driver that can.
  std::string (*check_driver)();
  // Bytes that the process may take on a device, as a share of all of it; the allocator fails beyond.
  void (*set_memory_share)(int device, double share);
  DeviceDescription (*describe)(int device);
  const NcclApi* nccl;
};

inline constexpr const char* kTableSymbol = "FtCudaTable";
using TableFunction = const Table* (*)();

}  // namespace ft::cuda
