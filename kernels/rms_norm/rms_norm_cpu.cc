#include <cmath>
#include <vector>

#include "kernels/rms_norm/rms_norm.h"

namespace ft::kernels {
namespace {

constexpr int kLanes = 16;

// Adds term(0), term(1), ...: lane i takes every 16th, then the lanes are added in pairs.
template <typename Term>
float LaneSum(int64_t count, Term term) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += term(i);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

}  // namespace

template <typename T>
void RmsNormForward(const RmsNormShape& shape, int64_t first, int64_t last, const T* x, const float* weight,
                    T* y, float* scale) {
  const int64_t channels = shape.channels;
  for (int64_t row = first; row < last; ++row) {
    const T* in = x + row * channels;
    T* out = y + row * channels;
    const float squares = LaneSum(channels, [in](int64_t c) { return ToFloat(in[c]) * ToFloat(in[c]); });
    const float factor = 1.0f / std::sqrt(squares / static_cast<float>(channels) + shape.epsilon);
    scale[row] = factor;
    for (int64_t c = 0; c < channels; ++c) out[c] = FromFloat<T>(ToFloat(in[c]) * factor * weight[c]);
  }
}

template <typename T>
void RmsNormBackward(const RmsNormShape& shape, int64_t first, int64_t last, const RmsNormGradient<T>& in,
                     T* dx) {
  const int64_t channels = shape.channels;
  for (int64_t row = first; row < last; ++row) {
    const T* x = in.x + row * channels;
    const T* dy = in.dy + row * channels;
    T* out = dx + row * channels;
    const float factor = in.scale[row];
    const float* weight = in.weight;
    // With n = x * factor: dx = factor * (dn - n * mean(dn * n)), dn = dy * weight.
    const float dot =
        LaneSum(channels, [=](int64_t c) { return ToFloat(dy[c]) * weight[c] * ToFloat(x[c]) * factor; });
    const float mean = dot / static_cast<float>(channels);
    for (int64_t c = 0; c < channels; ++c) {
      out[c] = FromFloat<T>(factor * (ToFloat(dy[c]) * weight[c] - ToFloat(x[c]) * factor * mean));
    }
  }
}

template <typename T>
void RmsNormWeightGradient(const RmsNormShape& shape, int64_t rows, int64_t first, int64_t last,
                           const RmsNormGradient<T>& in, float* dweight) {
  std::vector<double> sums(static_cast<size_t>(last - first), 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    const T* x = in.x + row * shape.channels + first;
    const T* dy = in.dy + row * shape.channels + first;
    const float factor = in.scale[row];
    for (size_t c = 0; c < sums.size(); ++c)
      sums[c] += static_cast<double>(ToFloat(dy[c]) * (ToFloat(x[c]) * factor));
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

#define FT_INSTANTIATE(T)                                                                                 \
  template void RmsNormForward<T>(const RmsNormShape&, int64_t, int64_t, const T*, const float*, T*,      \
                                  float*);                                                                \
  template void RmsNormBackward<T>(const RmsNormShape&, int64_t, int64_t, const RmsNormGradient<T>&, T*); \
  template void RmsNormWeightGradient<T>(const RmsNormShape&, int64_t, int64_t, int64_t,                  \
                                         const RmsNormGradient<T>&, float*);                              \
  template void ColumnSum<T>(int64_t, int64_t, int64_t, int64_t, const T*, float*);
FT_INSTANTIATE(float)
FT_INSTANTIATE(BF16)
#undef FT_INSTANTIATE

}  // namespace ft::kernels
