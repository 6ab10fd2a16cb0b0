// Cross entropy on a CUDA device; conventions as in kernels/nf4/nf4_cuda.h.
#pragma once

#include "kernels/cross_entropy/cross_entropy_grid.h"

namespace ft::kernels {

template <typename T>
int LaunchCrossEntropy(const CrossEntropyBody<T>& body, void* stream);

}  // namespace ft::kernels
