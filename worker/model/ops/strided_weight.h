// What a frozen weight is that does not lie in memory as its values: whoever multiplies by it on a device has it written straight to where
// the product reads it, among the columns of a wider matrix, and no tensor of it is made in between.
#pragma once

#include <torch/types.h>

namespace ft::ops {

class StridedWeight {
 public:
  virtual ~StridedWeight() = default;
  // Writes the weight, rounded once to the type of `out`. REQUIRES: `out` has the weight's shape and lies on its device; the values of a
  // row are neighbours, rows are any distance apart.
  virtual void WriteTo(const torch::Tensor& out_OI) const = 0;
};

}  // namespace ft::ops
