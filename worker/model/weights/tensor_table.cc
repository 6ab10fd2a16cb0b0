#include "worker/model/weights/tensor_table.h"

#include <utility>

namespace ft::weights {

StatusOr<uint64_t> CheckedElements(std::span<const int64_t> shape) {
  if (shape.size() > kMaxDimensions) {
    return absl::InvalidArgumentError(
        StrCat("its shape has ", shape.size(), " dimensions, more than the ", kMaxDimensions, " allowed"));
  }
  constexpr uint64_t kLimit = uint64_t{1} << 62;
  uint64_t product = 1;
  for (const int64_t dimension : shape) {
    if (dimension < 0) {
      return absl::InvalidArgumentError(StrCat("its shape ", ShapeText(shape), " has a negative size"));
    }
    if (__builtin_mul_overflow(product, static_cast<uint64_t>(dimension), &product) || product >= kLimit) {
      return absl::InvalidArgumentError(
          StrCat("its shape ", ShapeText(shape), " has more elements than can be counted"));
    }
  }
  return product;
}

Status TensorTable::Add(TensorInfo info) {
  if (!index_.emplace(info.name, tensors_.size()).second) {
    return absl::InvalidArgumentError(StrCat("tensor '", info.name, "' is there twice"));
  }
  tensors_.push_back(std::move(info));
  return absl::OkStatus();
}

const TensorInfo* TensorTable::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

std::optional<size_t> TensorTable::IndexOf(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

std::string ShapeText(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) StrAppend(&text, i == 0 ? "" : ", ", shape[i]);
  return text + "]";
}

}  // namespace ft::weights
