// Opens libft_cuda.so, which holds all that needs CUDA at run time.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/status.h"
#include "worker/train/cuda/table.h"

namespace ft::cuda {

// Where it lies beside this program: ../lib from the program's folder. A program of tests may be told of another by FT_CUDA_LIBRARY
// (docs/simulated-device.md).
std::filesystem::path CudaLibraryPath();

// Opens the library and hands its kernels to the operations. Call before the first LibTorch call: LibTorch
// looks for its CUDA hooks once. NOT_FOUND when there is no such file, FAILED_PRECONDITION when it is of
// another build or the driver cannot run it; both say what to do.
Status OpenCudaLibrary(const std::filesystem::path& path);

// The table of the library that was opened. REQUIRES: OpenCudaLibrary was OK.
const Table& CudaTable();

// What an opened library brought along, driver or not: "LibTorch 2.11.0, cuDNN 91900, libtorch_cuda and libnccl mapped".
// FAILED_PRECONDITION names what it did not bring.
StatusOr<std::string> DescribeCudaLibrary();

}  // namespace ft::cuda
