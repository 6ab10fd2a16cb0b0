#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/grid/launch_cuda.cuh"

namespace ft::kernels {

template <typename T>
int LaunchCrossEntropy(const CrossEntropyBody<T>& body, void* stream) {
  return Launch(body, stream);
}
template int LaunchCrossEntropy<float>(const CrossEntropyBody<float>&, void*);
template int LaunchCrossEntropy<BF16>(const CrossEntropyBody<BF16>&, void*);

}  // namespace ft::kernels
