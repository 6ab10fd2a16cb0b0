// A weight slot over a plain tensor, for tests of operations.
#pragma once

#include <string>
#include <utility>

#include "worker/model/ops/weight_slot.h"

namespace ft::ops {

class TensorSlot final : public WeightSlot {
 public:
  TensorSlot(std::string name, torch::Tensor value, bool trainable)
      : WeightSlot(std::move(name), value.sizes().vec(), value.device(), trainable ? 0 : kFrozen),
        value_(std::move(value)) {}
  const torch::Tensor& value() const { return value_; }

 private:
  torch::Tensor Load(at::ScalarType type) const override { return value_.to(type); }
  const torch::Tensor value_;
};

}  // namespace ft::ops
