#include "kernels/grid/launch_cuda.cuh"
#include "kernels/tree_add/tree_add_cuda.h"

namespace ft::kernels {

int LaunchTreeAdd(const TreeAddBody& body, void* stream) { return Launch(body, stream); }

}  // namespace ft::kernels
