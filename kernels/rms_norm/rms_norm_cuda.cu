#include "kernels/grid/launch_cuda.cuh"
#include "kernels/rms_norm/rms_norm_cuda.h"

namespace ft::kernels {

template <typename T>
int LaunchRmsNormForward(const RmsNormForwardBody<T>& body, void* stream) {
  return Launch(body, stream);
}
template <typename T>
int LaunchRmsNormBackward(const RmsNormBackwardBody<T>& body, void* stream) {
  return Launch(body, stream);
}
template <typename T>
int LaunchRmsNormWeightGradient(const RmsNormWeightGradientBody<T>& body, void* stream) {
  return Launch(body, stream);
}
template <typename T>
int LaunchColumnSum(const ColumnSumBody<T>& body, void* stream) {
  return Launch(body, stream);
}

#define FT_INSTANTIATE(T)                                                                  \
  template int LaunchRmsNormForward<T>(const RmsNormForwardBody<T>&, void*);               \
  template int LaunchRmsNormBackward<T>(const RmsNormBackwardBody<T>&, void*);             \
  template int LaunchRmsNormWeightGradient<T>(const RmsNormWeightGradientBody<T>&, void*); \
  template int LaunchColumnSum<T>(const ColumnSumBody<T>&, void*);
FT_INSTANTIATE(float)
FT_INSTANTIATE(BF16)
#undef FT_INSTANTIATE

}  // namespace ft::kernels
