#include "worker/model/ops/weight_slot.h"

#include <utility>

#include "core/base/check.h"
#include "worker/model/ops/saved_tensor_guard.h"

namespace ft::ops {

WeightSlot::WeightSlot(std::string name, std::vector<int64_t> shape, at::Device device, int index)
    : name_(std::move(name)), shape_(std::move(shape)), device_(device), index_(index) {
  // Four bytes of storage whatever the shape: autograd only reads type, sizes and device.
  const at::TensorOptions options(device);
  handle_ =
      trainable() ? torch::zeros({1}, options).expand(shape_).detach().requires_grad_() : torch::empty({0});
}

torch::Tensor WeightSlot::Materialise(at::ScalarType type) const {
  torch::NoGradGuard no_grad;
  torch::Tensor tensor = Load(type);
  FT_CHECK(tensor.scalar_type() == type && tensor.sizes() == at::IntArrayRef(shape_)) << name_;
  FT_CHECK(tensor.device().type() == device_.type()) << name_;
  if (!trainable()) SavedTensorGuard::NoteMaterialised(tensor, name_);
  return tensor;
}

std::shared_ptr<const MatrixTiles> WeightSlot::Tiles(at::ScalarType type) const {
  return std::make_shared<TensorTiles>(Materialise(type));
}

}  // namespace ft::ops
