// A frozen weight that lies in memory as NF4 and is dequantised whenever it is used: tile by tile where it is multiplied, or on a device
// into the arena, which it keeps together with the device's other frozen weights.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/model/ops/nf4.h"
#include "worker/model/ops/nf4_weight.h"
#include "worker/model/ops/strided_weight.h"
#include "worker/model/ops/weight_arena.h"
#include "worker/model/ops/weight_slot.h"

namespace ft::params {

class Nf4Slot final : public ops::WeightSlot, public ops::StridedWeight, public ops::Nf4Weight {
 public:
  Nf4Slot(std::string name, ops::Nf4Tensor tensor)
      : WeightSlot(std::move(name), tensor.shape, tensor.packed.device()), tensor_(std::move(tensor)) {}
  const ops::Nf4Tensor& tensor() const override { return tensor_; }
  std::shared_ptr<const ops::MatrixTiles> Tiles(at::ScalarType type) const override {
    return ops::Nf4Tiles(tensor_, type);
  }
  void WriteTo(const torch::Tensor& out_OI) const override { ops::DequantiseNf4Into(tensor_, out_OI); }
  std::vector<torch::Tensor> Held() const override {
    std::vector<torch::Tensor> held;
    for (const torch::Tensor* part :
         {&tensor_.packed, &tensor_.absmax_codes, &tensor_.nested_absmax, &tensor_.absmax}) {
      if (part->defined()) held.push_back(*part);
    }
    return held;
  }

 private:
  torch::Tensor Load(at::ScalarType type) const override { return ops::DequantiseNf4(tensor_, type); }
  const ops::Nf4Tensor tensor_;
  const std::shared_ptr<ops::WeightArena> arena_ = ops::WeightArena::On(device());
};

}  // namespace ft::params
