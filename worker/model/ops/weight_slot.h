// A weight as the mathematics sees it: a name and a shape, turned into a tensor only while an operation needs
// it. What lies behind it (a resident tensor, packed 4-bit codes, a shard to be gathered) is the slot's own
// affair.
//
// Operations save the slot for backward, never the tensor: they materialise again. Slots outlive every graph
// built over them. One thread at a time.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/model/ops/matrix_tiles.h"

namespace ft::ops {

class WeightSlot {
 public:
  static constexpr int kFrozen = -1;

  // `index` is the weight's number among what is trained; a trained slot has a handle that asks for gradients. `device` is where the
  // weight comes to lie when it is materialised.
  WeightSlot(std::string name, std::vector<int64_t> shape, at::Device device, int index = kFrozen);
  virtual ~WeightSlot() = default;
  WeightSlot(const WeightSlot&) = delete;
  WeightSlot& operator=(const WeightSlot&) = delete;

  const std::string& name() const { return name_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int index() const { return index_; }
  bool trainable() const { return index_ != kFrozen; }
  at::Device device() const { return device_; }
  // What autograd knows of the weight: a float32 leaf of its shape and on its device, without storage of its own. The gradient
  // of the weight is the gradient with respect to it. A frozen slot's handle is an empty tensor that asks for
  // none.
  const torch::Tensor& handle() const { return handle_; }
  // The weight, contiguous, rounded to `type` at most once. Drop it as soon as it is used; never write to it.
  torch::Tensor Materialise(at::ScalarType type) const;
  // The weight on the CPU, a matrix, tile by tile, in `type` or in a narrower one that holds the same values.
  // Drop it as soon as it is used.
  virtual std::shared_ptr<const MatrixTiles> Tiles(at::ScalarType type) const;
  // The tensors that a frozen slot keeps its weight in. Whoever changes where their memory is changes what the slot reads.
  virtual std::vector<torch::Tensor> Held() const { return {}; }

 private:
  virtual torch::Tensor Load(at::ScalarType type) const = 0;

  std::string name_;
  std::vector<int64_t> shape_;
  at::Device device_;
  int index_;
  torch::Tensor handle_;
};

using SlotPtr = std::shared_ptr<const WeightSlot>;

}  // namespace ft::ops
