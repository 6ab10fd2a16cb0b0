// y = x / sqrt(mean(x^2) + epsilon) * weight, row by row (Zhang and Sennrich, arXiv 1910.07467). x is the
// float32 residual stream; y and its gradient have the type T that the layers behind compute in. Statistics
// in float32; y is rounded to T once. Sums run in one order (16 interleaved lanes, then pairwise), so results
// depend neither on how rows are divided among threads nor on the instruction set. No state, thread-safe.
// Arrays are dense, rows x channels.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

struct RmsNormShape {
  int64_t channels = 0;
  float epsilon = 1e-5f;
};

// 1 / sqrt(mean + epsilon) from the sum of a row's squares.
FT_HOST_DEVICE inline float RmsNormScale(const RmsNormShape& shape, float squares) {
  return 1.0f / sqrtf(squares / static_cast<float>(shape.channels) + shape.epsilon);
}

// Rows [first, last). `scale[row]` receives 1 / sqrt(mean(x^2) + epsilon), which backward reads.
template <typename T>
void RmsNormForward(const RmsNormShape& shape, int64_t first, int64_t last, const float* x,
                    const float* weight, T* y, float* scale);

// What backward reads; dy = dLoss/dy.
template <typename T>
struct RmsNormGradient {
  const float* x = nullptr;
  const T* dy = nullptr;
  const float* weight = nullptr;
  const float* scale = nullptr;  // As forward left it.
};
// dx of rows [first, last).
template <typename T>
void RmsNormBackward(const RmsNormShape& shape, int64_t first, int64_t last, const RmsNormGradient<T>& in,
                     float* dx);

// dweight[c] = sum over all rows of dy * x * scale, for channels [first, last): rows in order, in float64.
template <typename T>
void RmsNormWeightGradient(const RmsNormShape& shape, int64_t rows, int64_t first, int64_t last,
                           const RmsNormGradient<T>& in, float* dweight);

// sum[c] = sum over all rows of values[row, c], for channels [first, last): rows in order, in float64.
template <typename T>
void ColumnSum(int64_t rows, int64_t channels, int64_t first, int64_t last, const T* values, float* sum);

}  // namespace ft::kernels
