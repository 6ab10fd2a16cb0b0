#include "worker/model/ops/weight_slot.h"

#include <utility>

#include "core/base/check.h"
#include "worker/model/ops/saved_tensor_guard.h"

namespace ft::ops {

WeightSlot::WeightSlot(std::string name, std::vector<int64_t> shape, bool trainable)
    : name_(std::move(name)), shape_(std::move(shape)) {
  // Four bytes of storage whatever the shape: autograd only reads type and sizes.
  handle_ = trainable ? torch::zeros({1}).expand(shape_).detach().requires_grad_() : torch::empty({0});
}

torch::Tensor WeightSlot::Materialise(at::ScalarType type) const {
  torch::NoGradGuard no_grad;
  torch::Tensor tensor = Load(type);
  FT_CHECK(tensor.scalar_type() == type && tensor.sizes() == at::IntArrayRef(shape_)) << name_;
  if (!trainable()) SavedTensorGuard::NoteMaterialised(tensor, name_);
  return tensor;
}

std::shared_ptr<const MatrixParts> WeightSlot::Parts(at::ScalarType type) const {
  return std::make_shared<TensorParts>(Materialise(type));
}

ResidentSlot::ResidentSlot(std::string name, torch::Tensor value, bool trainable, at::ScalarType rounded_to)
    : WeightSlot(std::move(name), value.sizes().vec(), trainable), value_(std::move(value)), rounded_to_(rounded_to) {
  FT_CHECK(value_.is_contiguous() && !value_.requires_grad());
}

std::shared_ptr<const MatrixParts> ResidentSlot::Parts(at::ScalarType type) const {
  const at::ScalarType held = trainable() ? rounded_to_ : value_.scalar_type();
  return WeightSlot::Parts(held == at::kBFloat16 ? held : type);
}

torch::Tensor ResidentSlot::Load(at::ScalarType type) const {
  const bool rounds = rounded_to_ != at::kFloat;
  if (!trainable() || (value_.scalar_type() == type && !rounds)) return value_.to(type);
  if (!copy_.defined() || copy_.scalar_type() != type) copy_ = (rounds ? value_.to(rounded_to_) : value_).to(type);
  return copy_;
}

}  // namespace ft::ops
