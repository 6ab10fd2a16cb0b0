#include "kernels/grid/launch_cuda.cuh"
#include "kernels/philox/philox_cuda.h"

namespace ft::kernels {

template <typename T>
int LaunchDropout(const DropoutBody<T>& body, void* stream) {
  return Launch(body, stream);
}
template int LaunchDropout<float>(const DropoutBody<float>&, void*);
template int LaunchDropout<BF16>(const DropoutBody<BF16>&, void*);

}  // namespace ft::kernels
