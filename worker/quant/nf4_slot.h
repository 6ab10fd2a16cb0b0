// A frozen weight that lies in memory as NF4 and is dequantised whenever it is used.
#pragma once

#include <string>
#include <utility>

#include "worker/ops/nf4.h"
#include "worker/ops/weight_slot.h"

namespace ft::quant {

class Nf4Slot final : public ops::WeightSlot {
 public:
  Nf4Slot(std::string name, ops::Nf4Tensor tensor)
      : WeightSlot(std::move(name), tensor.shape, /*trainable=*/false), tensor_(std::move(tensor)) {}
  const ops::Nf4Tensor& tensor() const { return tensor_; }

 private:
  torch::Tensor Load(at::ScalarType type) const override { return ops::DequantiseNf4(tensor_, type); }
  const ops::Nf4Tensor tensor_;
};

}  // namespace ft::quant
