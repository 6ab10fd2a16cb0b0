// A stored tensor of any floating or block type, parts of which are widened to float32 when they are asked for: what a large tensor takes on
// its way to something smaller is its stored bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "worker/model/weights/expand.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::weights {

class StoredValues {
 public:
  // INVALID_ARGUMENT for a type that holds no floating-point weights.
  static StatusOr<StoredValues> Read(const TensorSource& source, const TensorInfo& info);

  // Values from `first` on, those that ReadFloat32 gives. Thread-safe. REQUIRES: they lie within the tensor, and are whole units.
  void Widen(uint64_t first, std::span<float> out) const;

 private:
  StoredValues(const TensorInfo& info, Expander expand)
      : unit_(UnitOf(info.dtype)), elements_(info.elements()), expand_(expand) {}

  Unit unit_;
  uint64_t elements_;
  Expander expand_;
  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace ft::weights
