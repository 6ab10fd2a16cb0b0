// Weights that lie in memory as tensors: frozen ones in the type that products want, trained ones as float32 values of a store.
#pragma once

#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "worker/model/ops/weight_arena.h"
#include "worker/model/ops/weight_slot.h"
#include "worker/model/params/parameter_store.h"

namespace ft::params {

// A frozen weight. `value` is contiguous. On a device it keeps the arena, together with the device's other frozen weights: an adapter's
// products are joined with it there.
class ResidentSlot final : public ops::WeightSlot {
 public:
  ResidentSlot(std::string name, torch::Tensor value);
  // The tiles are bfloat16 where that is what the slot holds, so that no float32 copy of a whole weight is made.
  std::shared_ptr<const ops::MatrixTiles> Tiles(at::ScalarType type) const override;
  std::vector<torch::Tensor> Held() const override { return {value_}; }

 private:
  torch::Tensor Load(at::ScalarType type) const override { return value_.to(type); }
  const torch::Tensor value_;
  const std::shared_ptr<ops::WeightArena> arena_ = ops::WeightArena::On(device());
};

// A trained weight: tensor `index` of the store, which outlives the slot. What is used of it is rounded to `cast_dtype` first, as
// copies are already.
class TrainedSlot final : public ops::WeightSlot {
 public:
  TrainedSlot(const ParameterStore& store, int index, at::ScalarType cast_dtype = at::kFloat);
  // The tiles are bfloat16 where that is what the slot rounds to.
  std::shared_ptr<const ops::MatrixTiles> Tiles(at::ScalarType type) const override;

 private:
  torch::Tensor Load(at::ScalarType type) const override;

  const ParameterStore& store_;
  const at::ScalarType cast_dtype_;
  // The value in another type, kept between updates where the store has whole values; of the store's version `copied_`.
  mutable torch::Tensor copy_;
  mutable int64_t copied_ = -1;
};

}  // namespace ft::params
