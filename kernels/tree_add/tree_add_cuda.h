// Sums of vectors on a CUDA device; conventions as in kernels/nf4/nf4_cuda.h.
#pragma once

#include "kernels/tree_add/tree_add_grid.h"

namespace ft::kernels {

int LaunchTreeAdd(const TreeAddBody& body, void* stream);

}  // namespace ft::kernels
