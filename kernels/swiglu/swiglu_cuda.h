// The gate of the MLP on a CUDA device; conventions as in kernels/nf4/nf4_cuda.h.
#pragma once

#include "kernels/swiglu/swiglu_grid.h"

namespace ft::kernels {

template <typename T>
int LaunchSwigluForward(const SwigluForwardBody<T>& body, void* stream);
int LaunchSwigluForwardRounded(const SwigluForwardRoundedBody& body, void* stream);
template <typename T>
int LaunchSwigluBackward(const SwigluBackwardBody<T>& body, void* stream);

}  // namespace ft::kernels
