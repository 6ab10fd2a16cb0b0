// How stored values become float32: exact for F16, BF16 and F32, by the formula of a block format, rounded once for F64.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/status.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::weights {

// The least number of values that is stored by itself, and its bytes.
struct Unit {
  uint64_t values;
  uint64_t bytes;
};
Unit UnitOf(DType dtype);

// Turns `values` stored values, whole units, into floats; `in` and `out` do not overlap.
using Expander = void (*)(const std::byte* in, size_t values, float* out);

// INVALID_ARGUMENT names a tensor whose type holds no floating-point weights.
StatusOr<Expander> ExpanderOf(const TensorInfo& info);

}  // namespace ft::weights
