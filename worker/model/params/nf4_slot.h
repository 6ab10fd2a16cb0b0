// A frozen weight that lies in memory as NF4 and is dequantised whenever it is used: tile by tile where it is multiplied.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "worker/model/ops/nf4.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::params {

class Nf4Slot final : public ops::WeightSlot {
 public:
  Nf4Slot(std::string name, ops::Nf4Tensor tensor)
      : WeightSlot(std::move(name), tensor.shape, tensor.packed.device()), tensor_(std::move(tensor)) {}
  const ops::Nf4Tensor& tensor() const { return tensor_; }
  std::shared_ptr<const ops::MatrixTiles> Tiles(at::ScalarType type) const override {
    return ops::Nf4Tiles(tensor_, type);
  }

 private:
  torch::Tensor Load(at::ScalarType type) const override { return ops::DequantiseNf4(tensor_, type); }
  const ops::Nf4Tensor tensor_;
};

}  // namespace ft::params
