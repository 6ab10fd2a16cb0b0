// What a frozen weight is that lies in memory as NF4: whoever can multiply by its codes reads them there.
#pragma once

#include "worker/model/ops/nf4.h"

namespace ft::ops {

class Nf4Weight {
 public:
  virtual ~Nf4Weight() = default;
  virtual const Nf4Tensor& tensor() const = 0;
};

}  // namespace ft::ops
