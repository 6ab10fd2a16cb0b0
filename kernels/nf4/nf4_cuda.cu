#include "kernels/grid/launch_cuda.cuh"
#include "kernels/nf4/nf4_cuda.h"

namespace ft::kernels {

int LaunchNf4Quantise(const Nf4QuantiseBody& body, void* stream) { return Launch(body, stream); }

template <typename T>
int LaunchNf4Dequantise(const Nf4DequantiseBody<T>& body, void* stream) {
  return Launch(body, stream);
}
template int LaunchNf4Dequantise<float>(const Nf4DequantiseBody<float>&, void*);
template int LaunchNf4Dequantise<BF16>(const Nf4DequantiseBody<BF16>&, void*);

int LaunchNestedDequantise(const NestedDequantiseBody& body, void* stream) { return Launch(body, stream); }

}  // namespace ft::kernels
