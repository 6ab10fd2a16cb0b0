// Dropout on a CUDA device; conventions as in kernels/nf4/nf4_cuda.h.
#pragma once

#include "kernels/philox/philox_grid.h"

namespace ft::kernels {

template <typename T>
int LaunchDropout(const DropoutBody<T>& body, void* stream);

}  // namespace ft::kernels
