// Matrix products that are added up in float32 and rounded once: a layer's weight, its adapter and its bias,
// or the gradients that several layers give their common input. On a CPU the matrices are read panel by
// panel, so that a frozen weight in 4 bits is dequantised into the core's cache and never whole.
//
// Legend: N rows, C columns of a sum; K inner size of a product, its own for each.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "worker/model/ops/weight_slot.h"

namespace ft::ops {

// a_NK times a K x C matrix, or times the transposition of a C x K one. The matrix is a weight, rounded to
// the type of a, or a tensor.
struct Product {
  torch::Tensor a_NK;
  const WeightSlot* weight = nullptr;
  torch::Tensor matrix;  // Where there is no weight.
  bool transposed = false;
};

// scale * (sum of products) + start + bias.
struct SumOfProducts {
  std::vector<Product> products;  // One at least, added in order.
  float scale = 1;
  torch::Tensor start_NC;            // float32, contiguous, or undefined.
  bool in_place = false;             // Whether start takes the result.
  torch::Tensor bias_C;              // float32, or undefined.
  at::ScalarType type = at::kFloat;  // Of the result.
};

// All sums, in one region of this rank's threads. The same bits for any number of threads. Weights are not
// kept.
std::vector<torch::Tensor> Compute(const std::vector<SumOfProducts>& sums);
torch::Tensor Compute(const SumOfProducts& sum);

}  // namespace ft::ops
