// DoRA (Liu et al., arXiv 2402.09353): a low-rank adapter whose layer has trained lengths of rows beside. Legend: N rows (tokens),
// I inputs, O outputs, R adapter rank.
//
//     y = m / |W + s B A| (W x + s B A dropout(x)) + bias,    lengths |.| of the O rows, constants in backward
//
// PEFT computes the same, but for dropout, of which it shows a little to W too (docs/decisions/0104).
#pragma once

#include <torch/types.h>

#include "worker/model/ops/linear.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::ops {

// Sums of squares of the weight's rows, float32 [O] on its device. The weight is whole in memory meanwhile.
torch::Tensor RowSquares(const WeightSlot& weight_OI);

// 1 / |W + s B A|, float32 [O]: |W|^2 + 2 s rows(B, W A^T) + s^2 rows(B, B A A^T), so that no whole weight is made. REQUIRES: an
// adapter with magnitudes.
torch::Tensor InverseRowLengths(const LinearLayer& layer);

// m / |W + s B A|, of InverseRowLengths.
torch::Tensor MagnitudeFactor(const LinearLayer& layer, const torch::Tensor& inverse_O);

// factor * plain + bias + start, float32; plain is W x + s B A x. `start` may be undefined.
torch::Tensor Magnified(const LinearLayer& layer, const torch::Tensor& plain_NO,
                        const torch::Tensor& inverse_O, const torch::Tensor& start_NO);

}  // namespace ft::ops
