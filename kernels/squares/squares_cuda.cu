#include "kernels/grid/launch_cuda.cuh"
#include "kernels/squares/squares_cuda.h"

namespace ft::kernels {

int LaunchSumsOfSquares(const SumsOfSquaresBody& body, void* stream) { return Launch(body, stream); }

}  // namespace ft::kernels
