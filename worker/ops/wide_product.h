// A product that is added to float32 rows without being rounded on its way: what a sub-layer adds to the residual stream.
#pragma once

#include <torch/torch.h>

namespace ft::ops {

// y_NO += a_NK b_OK^T. y is float32 and contiguous; a and b have one type. Of bfloat16 factors the sums are float32 to the
// end where the CPU multiplies bfloat16; elsewhere the product is rounded once to the factors' type. The same bits for any
// number of threads.
void AddWideProduct(torch::Tensor& y_NO, const torch::Tensor& a_NK, const torch::Tensor& b_OK);

}  // namespace ft::ops
