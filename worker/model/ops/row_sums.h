// The sum of rows, the gradient of whatever was added to each of them.
#pragma once

#include <torch/types.h>

namespace ft::ops {

// float32 [C]; the same bits for any number of threads.
torch::Tensor SumRows(const torch::Tensor& values_NC);

}  // namespace ft::ops
