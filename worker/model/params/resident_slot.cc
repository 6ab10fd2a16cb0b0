#include "worker/model/params/resident_slot.h"

#include <utility>

#include "core/base/check.h"

namespace ft::params {

ResidentSlot::ResidentSlot(std::string name, torch::Tensor value)
    : WeightSlot(std::move(name), value.sizes().vec(), value.device()), value_(std::move(value)) {
  FT_CHECK(value_.is_contiguous() && !value_.requires_grad());
}

std::shared_ptr<const ops::MatrixTiles> ResidentSlot::Tiles(at::ScalarType type) const {
  return WeightSlot::Tiles(value_.scalar_type() == at::kBFloat16 ? at::kBFloat16 : type);
}

TrainedSlot::TrainedSlot(const ParameterStore& store, int index, at::ScalarType cast_dtype)
    : WeightSlot(store.name(index), store.range(index).tensor.shape, store.device(), index),
      store_(store),
      cast_dtype_(cast_dtype) {}

std::shared_ptr<const ops::MatrixTiles> TrainedSlot::Tiles(at::ScalarType type) const {
  return WeightSlot::Tiles(cast_dtype_ == at::kBFloat16 ? at::kBFloat16 : type);
}

torch::Tensor TrainedSlot::Load(at::ScalarType type) const {
  const torch::Tensor value = store_.weight(index());
  const bool rounds = cast_dtype_ != value.scalar_type();
  if (value.scalar_type() == type && !rounds) return value;
  if (!store_.has_whole_values()) return (rounds ? value.to(cast_dtype_) : value).to(type);
  if (copied_ != store_.version() || copy_.scalar_type() != type) {
    copy_ = (rounds ? value.to(cast_dtype_) : value).to(type);
    copied_ = store_.version();
  }
  return copy_;
}

}  // namespace ft::params
