#include "kernels/grid/launch_cuda.cuh"
#include "kernels/swiglu/swiglu_cuda.h"

namespace ft::kernels {

template <typename T>
int LaunchSwigluForward(const SwigluForwardBody<T>& body, void* stream) {
  return Launch(body, stream);
}
int LaunchSwigluForwardRounded(const SwigluForwardRoundedBody& body, void* stream) {
  return Launch(body, stream);
}
template <typename T>
int LaunchSwigluBackward(const SwigluBackwardBody<T>& body, void* stream) {
  return Launch(body, stream);
}

#define FT_INSTANTIATE(T)                                                  \
  template int LaunchSwigluForward<T>(const SwigluForwardBody<T>&, void*); \
  template int LaunchSwigluBackward<T>(const SwigluBackwardBody<T>&, void*);
FT_INSTANTIATE(float)
FT_INSTANTIATE(BF16)
#undef FT_INSTANTIATE

}  // namespace ft::kernels
