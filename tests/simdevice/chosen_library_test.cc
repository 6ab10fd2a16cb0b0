// A program that links tests_chosen_library lets FT_CUDA_LIBRARY choose (kernels_test.cc is part of one that does not).
#include <torch/types.h>

#include <cstdlib>

#include "gtest/gtest.h"
#include "worker/model/ops/kernel_table.h"
#include "worker/train/cuda/cuda_library.h"

namespace ft::simdevice {
namespace {

TEST(SimDeviceChoice, TheNamedLibraryIsOpenedWhereTheProgramAllowsIt) {
  ASSERT_EQ(::unsetenv("FT_CUDA_LIBRARY"), 0);
  EXPECT_EQ(cuda::CudaLibraryPath().filename(), "libft_cuda.so");
  ASSERT_EQ(::setenv("FT_CUDA_LIBRARY", FT_SIM_LIBRARY, 1), 0);
  EXPECT_EQ(cuda::CudaLibraryPath(), FT_SIM_LIBRARY);
  const Status opened = cuda::OpenCudaLibrary(cuda::CudaLibraryPath());
  ASSERT_TRUE(opened.ok()) << opened;
  // Nothing but LibTorch's own names from here on.
  const torch::Tensor values = torch::ones({2, 3}, at::kCUDA), sums = torch::empty({3}, at::kCUDA);
  ops::Launch(values, &ops::KernelsOf<float>::column_sum,
              {2, 3, values.data_ptr<float>(), sums.data_ptr<float>()});
  EXPECT_TRUE(at::equal(sums.cpu(), torch::full({3}, 2.0f)));
  ASSERT_EQ(::setenv("FT_CUDA_LIBRARY", "/nowhere/libft_sim.so", 1), 0);
  EXPECT_TRUE(absl::IsNotFound(cuda::OpenCudaLibrary(cuda::CudaLibraryPath())));
}

}  // namespace
}  // namespace ft::simdevice
