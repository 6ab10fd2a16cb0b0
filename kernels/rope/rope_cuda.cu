#include "kernels/grid/launch_cuda.cuh"
#include "kernels/rope/rope_cuda.h"

namespace ft::kernels {

template <typename T>
int LaunchRope(const RopeBody<T>& body, void* stream) {
  return Launch(body, stream);
}
template int LaunchRope<float>(const RopeBody<float>&, void*);
template int LaunchRope<BF16>(const RopeBody<BF16>&, void*);

}  // namespace ft::kernels
