// Tensors as NF4 (kernels/nf4/nf4.h): 4.13 bits a value with double quantisation, 4.5 without.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "worker/model/ops/matrix_tiles.h"

namespace ft::ops {

struct Nf4Tensor {
  std::vector<int64_t> shape;
  torch::Tensor packed;  // uint8, (values + 1) / 2.
  // With double quantisation, else undefined:
  torch::Tensor absmax_codes;   // uint8, one a block of 64 values.
  torch::Tensor nested_absmax;  // float32, one for 256 blocks.
  float offset = 0;
  // Without double quantisation, else undefined:
  torch::Tensor absmax;  // float32, one a block.

  int64_t count() const;
};

// Quantises to the nearest codes, with double quantisation. REQUIRES: float32, contiguous, not empty.
Nf4Tensor QuantiseNf4(const torch::Tensor& values);

// The same of values that are brought when they are wanted, on the CPU: `bring` writes those from `first` on, and is called by several threads
// at once, for multiples of 64 but at the end. What is float32 is a small part at a time.
Nf4Tensor QuantiseNf4(std::vector<int64_t> shape,
                      const std::function<void(int64_t first, std::span<float> values)>& bring);

// The same codes on `device`.
Nf4Tensor ToDevice(Nf4Tensor tensor, at::Device device);

// The values in float32 or bfloat16, rounded once.
torch::Tensor DequantiseNf4(const Nf4Tensor& tensor, at::ScalarType type);
// The same into `out`: a matrix of the tensor's shape whose rows are any distance apart, each row's values neighbours.
void DequantiseNf4Into(const Nf4Tensor& tensor, const torch::Tensor& out);

// A matrix on the CPU, dequantised tile by tile. `tensor` outlives it. REQUIRES: two dimensions.
std::unique_ptr<MatrixTiles> Nf4Tiles(const Nf4Tensor& tensor, at::ScalarType type);

// The maxima of all blocks, float32.
torch::Tensor RestoreAbsmax(const Nf4Tensor& tensor);

// Double quantisation alone, with a given offset: codes and nested maxima.
void QuantiseAbsmax(const torch::Tensor& absmax, float offset, torch::Tensor& codes,
                    torch::Tensor& nested_absmax);

// What codes stand for, 16 values, for comparing with those that a checkpoint brings.
torch::Tensor Nf4CodeTable();

}  // namespace ft::ops
