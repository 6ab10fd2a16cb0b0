// The list of a file's tensors with look-up by name, and the arithmetic that turns an untrusted shape into a
// size.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/model/weights/tensor_source.h"

namespace ft::weights {

// More dimensions than any model has; a bound for hostile headers.
constexpr size_t kMaxDimensions = 16;

// The number of elements of a shape from a file. INVALID_ARGUMENT for a negative dimension, more than
// kMaxDimensions, or a product of 2^62 or more.
StatusOr<uint64_t> CheckedElements(std::span<const int64_t> shape);

// Tensors in the order in which they were added; names are unique. The position of a tensor is its index, so
// readers keep what else they know of it in a vector beside.
class TensorTable {
 public:
  // INVALID_ARGUMENT when the name is taken.
  Status Add(TensorInfo info);
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* Find(std::string_view name) const;
  std::optional<size_t> IndexOf(std::string_view name) const;

 private:
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
};

// "[2, 64]".
std::string ShapeText(std::span<const int64_t> shape);

}  // namespace ft::weights
