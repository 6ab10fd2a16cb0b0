// A weight as the mathematics sees it: a name and a shape, turned into a tensor only while an operation needs
// it. What lies behind it (a resident tensor, packed 4-bit codes, a shard to be gathered) is the slot's own
// affair.
//
// Operations save the slot for backward, never the tensor: they materialise again. Slots outlive every graph
// built over them. One thread at a time.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/model/ops/matrix_parts.h"

namespace ft::ops {

class WeightSlot {
 public:
  // `trainable` gives the slot a handle that asks for gradients.
  WeightSlot(std::string name, std::vector<int64_t> shape, bool trainable);
  virtual ~WeightSlot() = default;
  WeightSlot(const WeightSlot&) = delete;
  WeightSlot& operator=(const WeightSlot&) = delete;

  const std::string& name() const { return name_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  bool trainable() const { return handle_.requires_grad(); }
  // What autograd knows of the weight: a float32 leaf of its shape without storage of its own. The gradient
  // of the weight is the gradient with respect to this. Of a frozen slot: an empty tensor that asks for none.
  const torch::Tensor& handle() const { return handle_; }
  // The weight, contiguous, rounded to `type` at most once. Drop it as soon as it is used; never write to it.
  torch::Tensor Materialise(at::ScalarType type) const;
  // The same of a matrix on the CPU, given part by part, in `type` or in a narrower one that holds the same values.
  // Drop it as soon as it is used.
  virtual std::shared_ptr<const MatrixParts> Parts(at::ScalarType type) const;

 private:
  virtual torch::Tensor Load(at::ScalarType type) const = 0;

  std::string name_;
  std::vector<int64_t> shape_;
  torch::Tensor handle_;
};

// A weight that lies in memory as a tensor: float32 when it is trained, the compute type when it is frozen.
class ResidentSlot final : public WeightSlot {
 public:
  // `value` is kept as it is and updated in place by its optimizer. What is used of it is rounded to `rounded_to` first.
  ResidentSlot(std::string name, torch::Tensor value, bool trainable, at::ScalarType rounded_to = at::kFloat);
  const torch::Tensor& value() const { return value_; }
  // In bfloat16 where that is what the slot holds or rounds to, so that no float32 copy of a whole weight is made.
  std::shared_ptr<const MatrixParts> Parts(at::ScalarType type) const override;
  // After the value was updated: forgets the copy in another type that a trainable slot keeps between
  // updates.
  void ValueChanged() { copy_.reset(); }

 private:
  torch::Tensor Load(at::ScalarType type) const override;
  const torch::Tensor value_;
  const at::ScalarType rounded_to_;
  mutable torch::Tensor copy_;
};

}  // namespace ft::ops
