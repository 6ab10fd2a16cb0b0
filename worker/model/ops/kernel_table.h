// The CUDA versions of kernels/ as a table of functions. They lie in libft_cuda.so, which a rank opens when
// it was given a CUDA device (worker/train/cuda/table.h); operations on CUDA tensors find them here.
#pragma once

#include <torch/torch.h>

#include "kernels/cross_entropy/cross_entropy_grid.h"
#include "kernels/nf4/nf4_grid.h"
#include "kernels/philox/philox_grid.h"
#include "kernels/rms_norm/rms_norm_grid.h"
#include "kernels/rope/rope_grid.h"
#include "kernels/swiglu/swiglu_grid.h"

namespace ft::ops {

// Enqueues a body on a stream (a cudaStream_t); returns the launch's CUDA error, 0 for none.
template <typename Body>
using Launcher = int (*)(const Body& body, void* stream);

// Kernels over elements of type T.
template <typename T>
struct CudaKernelsOf {
  Launcher<kernels::Nf4DequantiseBody<T>> nf4_dequantise;
  Launcher<kernels::DropoutBody<T>> dropout;
  Launcher<kernels::RopeBody<T>> rope;
  Launcher<kernels::RmsNormForwardBody<T>> rms_norm_forward;
  Launcher<kernels::RmsNormBackwardBody<T>> rms_norm_backward;
  Launcher<kernels::RmsNormWeightGradientBody<T>> rms_norm_weight_gradient;
  Launcher<kernels::ColumnSumBody<T>> column_sum;
  Launcher<kernels::SwigluForwardBody<T>> swiglu_forward;
  Launcher<kernels::SwigluBackwardBody<T>> swiglu_backward;
  Launcher<kernels::CrossEntropyBody<T>> cross_entropy;
};

struct CudaKernels {
  CudaKernelsOf<float> f32;
  CudaKernelsOf<kernels::BF16> bf16;
  Launcher<kernels::Nf4QuantiseBody> nf4_quantise;
  Launcher<kernels::NestedDequantiseBody> nested_dequantise;
  // The current stream of the calling thread's current device.
  void* (*current_stream)();
  const char* (*error_text)(int error);
};

// Once, before the first CUDA tensor; the table lives as long as the process.
void UseCudaKernels(const CudaKernels* kernels);

// REQUIRES: UseCudaKernels().
const CudaKernels& Cuda();

template <typename T>
const CudaKernelsOf<T>& CudaOf();
template <>
inline const CudaKernelsOf<float>& CudaOf<float>() {
  return Cuda().f32;
}
template <>
inline const CudaKernelsOf<kernels::BF16>& CudaOf<kernels::BF16>() {
  return Cuda().bf16;
}

// Enqueues on the current stream; throws c10::Error when the launch is refused.
template <typename Body>
void LaunchCuda(Launcher<Body> launcher, const Body& body) {
  const int error = launcher(body, Cuda().current_stream());
  TORCH_CHECK(error == 0, "CUDA kernel: ", Cuda().error_text(error));
}

}  // namespace ft::ops
