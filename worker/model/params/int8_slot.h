// A frozen weight that lies in memory in 8 bits by rows and is dequantised whenever it is used: tile by tile where it is multiplied, or on a
// device into the arena, which it keeps together with the device's other frozen weights.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/model/ops/int8.h"
#include "worker/model/ops/int8_weight.h"
#include "worker/model/ops/strided_weight.h"
#include "worker/model/ops/weight_arena.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::params {

class Int8Slot final : public ops::WeightSlot, public ops::StridedWeight, public ops::Int8Weight {
 public:
  Int8Slot(std::string name, ops::Int8Tensor tensor)
      : WeightSlot(std::move(name), tensor.codes_OI.sizes().vec(), tensor.codes_OI.device()),
        tensor_(std::move(tensor)) {}
  const ops::Int8Tensor& tensor() const override { return tensor_; }
  std::shared_ptr<const ops::MatrixTiles> Tiles(at::ScalarType type) const override {
    return ops::Int8Tiles(tensor_, type);
  }
  void WriteTo(const torch::Tensor& out_OI) const override { ops::DequantiseInt8Into(tensor_, out_OI); }
  std::vector<torch::Tensor> Held() const override { return {tensor_.codes_OI, tensor_.absmax_O}; }

 private:
  torch::Tensor Load(at::ScalarType type) const override { return ops::DequantiseInt8(tensor_, type); }
  const ops::Int8Tensor tensor_;
  const std::shared_ptr<ops::WeightArena> arena_ = ops::WeightArena::On(device());
};

}  // namespace ft::params
