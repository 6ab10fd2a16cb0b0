// NF4 on a CUDA device: pointers are the device's, `stream` a cudaStream_t. Each returns the launch's CUDA
// error, 0 when there is none.
#pragma once

#include "kernels/nf4/nf4_grid.h"

namespace ft::kernels {

int LaunchNf4Quantise(const Nf4QuantiseBody& body, void* stream);
template <typename T>
int LaunchNf4Dequantise(const Nf4DequantiseBody<T>& body, void* stream);
int LaunchNestedDequantise(const NestedDequantiseBody& body, void* stream);

}  // namespace ft::kernels
