// Bridges between tensors and the raw-pointer kernels: typed pointers, and rows divided among threads.
#pragma once

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <cstdint>

#include "core/base/check.h"
#include "kernels/number/bf16.h"

namespace ft::ops {

template <typename T>
const T* Data(const torch::Tensor& tensor) {
  FT_CHECK(tensor.is_contiguous());
  return static_cast<const T*>(tensor.const_data_ptr());
}
template <typename T>
T* MutableData(const torch::Tensor& tensor) {
  FT_CHECK(tensor.is_contiguous());
  return static_cast<T*>(tensor.data_ptr());
}

// Whether each row is dense; rows may lie at a distance.
inline bool HasDenseRows(const torch::Tensor& x_NC) {
  return x_NC.dim() == 2 && (x_NC.size(1) == 1 || x_NC.stride(1) == 1) &&
         (x_NC.size(0) <= 1 || x_NC.stride(0) >= x_NC.size(1));
}
// Of such rows.
template <typename T>
const T* RowData(const torch::Tensor& x_NC) {
  FT_CHECK(HasDenseRows(x_NC)) << x_NC.strides();
  return static_cast<const T*>(x_NC.const_data_ptr());
}
template <typename T>
T* MutableRowData(const torch::Tensor& x_NC) {
  FT_CHECK(HasDenseRows(x_NC)) << x_NC.strides();
  return static_cast<T*>(x_NC.data_ptr());
}

// Calls body(T{}) with T the kernel's type of `type`. REQUIRES: float32 or bfloat16.
template <typename Body>
void WithType(at::ScalarType type, Body body) {
  if (type == at::kFloat) return body(float{});
  FT_CHECK(type == at::kBFloat16) << "unsupported type " << c10::toString(type);
  body(kernels::BF16{});
}

// body(first, last) over [0, count) on this rank's threads. The kernels give the same bits however it is
// divided.
template <typename Body>
void OverRows(int64_t count, int64_t work_per_row, Body body) {
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, work_per_row));
  at::parallel_for(0, count, grain, [&](int64_t first, int64_t last) { body(first, last); });
}

}  // namespace ft::ops
