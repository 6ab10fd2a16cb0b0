// The SIMD versions. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rms_norm/rms_norm_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <vector>

#include "kernels/number/vectors_inl.h"
#include "kernels/rms_norm/rms_norm.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

template <typename T>
void Forward(const RmsNormShape& shape, int64_t first, int64_t last, const float* x, const float* weight,
             T* y, float* scale) {
  const Floats d;
  const int64_t channels = shape.channels;
  for (int64_t row = first; row < last; ++row) {
    const float* in = x + row * channels;
    T* out = y + row * channels;
    const float squares = LaneSum(channels, [in](int64_t i, int64_t n) HWY_ATTR {
      const auto value = LoadN(in + i, n);
      return hn::Mul(value, value);
    });
    scale[row] = RmsNormScale(shape, squares);
    const auto factor = hn::Set(d, scale[row]);
    OverVectors(channels, [=](int64_t i, int64_t n) HWY_ATTR {
      StoreN(hn::Mul(hn::Mul(LoadN(in + i, n), factor), LoadN(weight + i, n)), out + i, n);
    });
  }
}

template <typename T>
void Backward(const RmsNormShape& shape, int64_t first, int64_t last, const RmsNormGradient<T>& in,
              float* dx) {
  const Floats d;
  const int64_t channels = shape.channels;
  for (int64_t row = first; row < last; ++row) {
    const float* x = in.x + row * channels;
    const T* dy = in.dy + row * channels;
    const float* weight = in.weight;
    float* out = dx + row * channels;
    const auto factor = hn::Set(d, in.scale[row]);
    // With n = x * factor: dx = factor * (dn - n * mean(dn * n)), dn = dy * weight.
    const auto dn = [=](int64_t i, int64_t n)
                        HWY_ATTR { return hn::Mul(LoadN(dy + i, n), LoadN(weight + i, n)); };
    const float dot = LaneSum(channels, [=](int64_t i, int64_t n) HWY_ATTR {
      return hn::Mul(hn::Mul(dn(i, n), LoadN(x + i, n)), factor);
    });
    const auto mean = hn::Set(d, dot / static_cast<float>(channels));
    OverVectors(channels, [=](int64_t i, int64_t n) HWY_ATTR {
      const auto normed = hn::Mul(hn::Mul(LoadN(x + i, n), factor), mean);
      StoreN(hn::Mul(factor, hn::Sub(dn(i, n), normed)), out + i, n);
    });
  }
}

void ForwardFloat(const RmsNormShape& shape, int64_t first, int64_t last, const float* x, const float* weight,
                  float* y, float* scale) {
  Forward<float>(shape, first, last, x, weight, y, scale);
}
void ForwardBF16(const RmsNormShape& shape, int64_t first, int64_t last, const float* x, const float* weight,
                 BF16* y, float* scale) {
  Forward<BF16>(shape, first, last, x, weight, y, scale);
}
void BackwardFloat(const RmsNormShape& shape, int64_t first, int64_t last, const RmsNormGradient<float>& in,
                   float* dx) {
  Backward<float>(shape, first, last, in, dx);
}
void BackwardBF16(const RmsNormShape& shape, int64_t first, int64_t last, const RmsNormGradient<BF16>& in,
                  float* dx) {
  Backward<BF16>(shape, first, last, in, dx);
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(ForwardFloat);
HWY_EXPORT(ForwardBF16);
HWY_EXPORT(BackwardFloat);
HWY_EXPORT(BackwardBF16);

template <>
void RmsNormForward<float>(const RmsNormShape& shape, int64_t first, int64_t last, const float* x,
                           const float* weight, float* y, float* scale) {
  HWY_DYNAMIC_DISPATCH(ForwardFloat)(shape, first, last, x, weight, y, scale);
}
template <>
void RmsNormForward<BF16>(const RmsNormShape& shape, int64_t first, int64_t last, const float* x,
                          const float* weight, BF16* y, float* scale) {
  HWY_DYNAMIC_DISPATCH(ForwardBF16)(shape, first, last, x, weight, y, scale);
}
template <>
void RmsNormBackward<float>(const RmsNormShape& shape, int64_t first, int64_t last,
                            const RmsNormGradient<float>& in, float* dx) {
  HWY_DYNAMIC_DISPATCH(BackwardFloat)(shape, first, last, in, dx);
}
template <>
void RmsNormBackward<BF16>(const RmsNormShape& shape, int64_t first, int64_t last,
                           const RmsNormGradient<BF16>& in, float* dx) {
  HWY_DYNAMIC_DISPATCH(BackwardBF16)(shape, first, last, in, dx);
}

template <typename T>
void RmsNormWeightGradient(const RmsNormShape& shape, int64_t rows, int64_t first, int64_t last,
                           const RmsNormGradient<T>& in, float* dweight) {
  std::vector<double> sums(static_cast<size_t>(last - first), 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = in.x + row * shape.channels + first;
    const T* dy = in.dy + row * shape.channels + first;
    const float factor = in.scale[row];
    for (size_t c = 0; c < sums.size(); ++c) sums[c] += static_cast<double>(ToFloat(dy[c]) * (x[c] * factor));
  }
  for (size_t c = 0; c < sums.size(); ++c)
    dweight[first + static_cast<int64_t>(c)] = static_cast<float>(sums[c]);
}

template <typename T>
void ColumnSum(int64_t rows, int64_t channels, int64_t first, int64_t last, const T* values, float* sum) {
  std::vector<double> sums(static_cast<size_t>(last - first), 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    const T* in = values + row * channels + first;
    for (size_t c = 0; c < sums.size(); ++c) sums[c] += static_cast<double>(ToFloat(in[c]));
  }
  for (size_t c = 0; c < sums.size(); ++c) sum[first + static_cast<int64_t>(c)] = static_cast<float>(sums[c]);
}

#define FT_INSTANTIATE(T)                                                                \
  template void RmsNormWeightGradient<T>(const RmsNormShape&, int64_t, int64_t, int64_t, \
                                         const RmsNormGradient<T>&, float*);             \
  template void ColumnSum<T>(int64_t, int64_t, int64_t, int64_t, const T*, float*);
FT_INSTANTIATE(float)
FT_INSTANTIATE(BF16)
#undef FT_INSTANTIATE

}  // namespace ft::kernels
#endif  // HWY_ONCE
