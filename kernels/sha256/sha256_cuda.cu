#include "kernels/grid/launch_cuda.cuh"
#include "kernels/sha256/sha256_cuda.h"

namespace ft::kernels {

int LaunchSha256(const Sha256Body& body, void* stream) { return Launch(body, stream); }

}  // namespace ft::kernels
