// Sums of squares on a CUDA device; conventions as in kernels/nf4/nf4_cuda.h.
#pragma once

#include "kernels/squares/squares_grid.h"

namespace ft::kernels {

int LaunchSumsOfSquares(const SumsOfSquaresBody& body, void* stream);

}  // namespace ft::kernels
