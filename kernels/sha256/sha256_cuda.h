// SHA-256 on a CUDA device; conventions as in kernels/nf4/nf4_cuda.h.
#pragma once

#include "kernels/sha256/sha256_grid.h"

namespace ft::kernels {

int LaunchSha256(const Sha256Body& body, void* stream);

}  // namespace ft::kernels
