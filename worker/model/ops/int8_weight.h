// What a frozen weight is that lies in memory in 8 bits by rows: whoever can multiply by its codes reads them there.
#pragma once

#include "worker/model/ops/int8.h"

namespace ft::ops {

class Int8Weight {
 public:
  virtual ~Int8Weight() = default;
  virtual const Int8Tensor& tensor() const = 0;
};

}  // namespace ft::ops
