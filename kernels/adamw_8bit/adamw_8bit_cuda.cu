#include "kernels/adamw_8bit/adamw_8bit_cuda.h"
#include "kernels/grid/launch_cuda.cuh"

namespace ft::kernels {

int LaunchAdamW8bit(const AdamW8bitBody& body, void* stream) { return Launch(body, stream); }

}  // namespace ft::kernels
