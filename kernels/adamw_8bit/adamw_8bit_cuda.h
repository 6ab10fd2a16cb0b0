// AdamW over moments of 8 bits on a CUDA device; conventions as in kernels/nf4/nf4_cuda.h.
#pragma once

#include "kernels/adamw_8bit/adamw_8bit_grid.h"

namespace ft::kernels {

int LaunchAdamW8bit(const AdamW8bitBody& body, void* stream);

}  // namespace ft::kernels
