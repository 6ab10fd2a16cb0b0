// RMS norm on a CUDA device; conventions as in kernels/nf4/nf4_cuda.h.
#pragma once

#include "kernels/rms_norm/rms_norm_grid.h"

namespace ft::kernels {

template <typename T>
int LaunchRmsNormForward(const RmsNormForwardBody<T>& body, void* stream);
template <typename T>
int LaunchRmsNormBackward(const RmsNormBackwardBody<T>& body, void* stream);
template <typename T>
int LaunchRmsNormWeightGradient(const RmsNormWeightGradientBody<T>& body, void* stream);
template <typename T>
int LaunchColumnSum(const ColumnSumBody<T>& body, void* stream);

}  // namespace ft::kernels
