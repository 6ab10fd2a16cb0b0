// The kernels of one kind of device as a table of functions, so that an operation runs where its tensors lie and does not ask where
// that is. The CPU's are here (cpu_kernels.cc); those of CUDA lie in libft_cuda.so, which a rank opens when it was given such a
// device (worker/train/cuda/table.h).
#pragma once

#include <torch/types.h>

#include <type_traits>

#include "kernels/adamw_8bit/adamw_8bit_grid.h"
#include "kernels/cross_entropy/cross_entropy_grid.h"
#include "kernels/nf4/nf4_grid.h"
#include "kernels/philox/philox_grid.h"
#include "kernels/rms_norm/rms_norm_grid.h"
#include "kernels/rope/rope_grid.h"
#include "kernels/sha256/sha256_grid.h"
#include "kernels/squares/squares_grid.h"
#include "kernels/swiglu/swiglu_grid.h"
#include "kernels/tree_add/tree_add_grid.h"

namespace ft::ops {

// Does a body's work on a device, in the order of `stream`: at once where there is none. Returns the launch's error, 0 for none.
template <typename Body>
using Launcher = int (*)(const Body& body, void* stream);

// Kernels over elements of type T.
template <typename T>
struct KernelsOf {
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

struct KernelTable {
  KernelsOf<float> f32;
  KernelsOf<kernels::BF16> bf16;
  Launcher<kernels::Nf4QuantiseBody> nf4_quantise;
  Launcher<kernels::NestedDequantiseBody> nested_dequantise;
  Launcher<kernels::SwigluForwardRoundedBody> swiglu_forward_rounded;
  Launcher<kernels::SumsOfSquaresBody> sums_of_squares;
  Launcher<kernels::Sha256Body> sha256;
  Launcher<kernels::TreeAddBody> tree_add;
  Launcher<kernels::AdamW8bitBody> adamw_8bit;
  // The current stream of the calling thread's current device; null where there are no streams.
  void* (*current_stream)();
  // Whether the calling thread's current device multiplies bfloat16 itself.
  bool (*multiplies_bf16)();
  const char* (*error_text)(int error);
};

const KernelTable& CpuKernels();

// Once a kind of device, before its first tensor; the table lives as long as the process. The CPU's is there.
void UseKernels(c10::DeviceType device, const KernelTable* table);

// The table of such devices, or of that on which `tensor` lies. REQUIRES: one is in use.
const KernelTable& KernelsFor(at::Device device);
inline const KernelTable& KernelsFor(const torch::Tensor& tensor) { return KernelsFor(tensor.device()); }

template <typename T>
const KernelsOf<T>& OfType(const KernelTable& table) {
  if constexpr (std::is_same_v<T, float>) {
    return table.f32;
  } else {
    return table.bf16;
  }
}

// Throws c10::AcceleratorError with the error's number, unless that is 0.
void ThrowLaunchError(const KernelTable& table, int error);

// Runs the body where `tensor` lies, on the current stream; throws c10::AcceleratorError when the launch is refused.
template <typename Body>
void Launch(const torch::Tensor& tensor, Launcher<Body> KernelTable::*kernel,
            const std::type_identity_t<Body>& body) {
  const KernelTable& table = KernelsFor(tensor);
  ThrowLaunchError(table, (table.*kernel)(body, table.current_stream()));
}
template <typename T, typename Body>
void Launch(const torch::Tensor& tensor, Launcher<Body> KernelsOf<T>::*kernel,
            const std::type_identity_t<Body>& body) {
  const KernelTable& table = KernelsFor(tensor);
  ThrowLaunchError(table, (OfType<T>(table).*kernel)(body, table.current_stream()));
}

}  // namespace ft::ops
