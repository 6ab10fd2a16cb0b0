// Rotary position embedding on a CUDA device; conventions as in kernels/nf4/nf4_cuda.h.
#pragma once

#include "kernels/rope/rope_grid.h"

namespace ft::kernels {

template <typename T>
int LaunchRope(const RopeBody<T>& body, void* stream);

}  // namespace ft::kernels
