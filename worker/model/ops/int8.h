// Matrices in 8 bits by rows, as LLM.int8 stores weights (Dettmers et al., arXiv 2208.07339): code = round(value x 127 / the row's largest).
#pragma once

#include <torch/types.h>

#include <memory>

#include "worker/model/ops/matrix_tiles.h"

namespace ft::ops {

inline constexpr float kLargestCode = 127;

struct Int8Tensor {
  torch::Tensor codes_OI;  // int8, -127 to 127.
  torch::Tensor absmax_O;  // float32, the largest absolute value of each row.
};

// To the nearest codes, of two the even one. A row of zeros has zeros for codes. REQUIRES: float32, contiguous, a matrix.
Int8Tensor QuantiseInt8(const torch::Tensor& values_OI);

// code x absmax / 127, rounded once.
torch::Tensor DequantiseInt8(const Int8Tensor& tensor, at::ScalarType type);
// The same into `out`, of the same shape.
void DequantiseInt8Into(const Int8Tensor& tensor, const torch::Tensor& out_OI);

// A matrix on the CPU, dequantised tile by tile to the values that DequantiseInt8 gives. `tensor` outlives it.
std::unique_ptr<MatrixTiles> Int8Tiles(const Int8Tensor& tensor, at::ScalarType type);

}  // namespace ft::ops
