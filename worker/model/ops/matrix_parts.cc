#include "worker/model/ops/matrix_parts.h"

#include <utility>

#include "worker/model/ops/kernel_call.h"

namespace ft::ops {

TensorParts::TensorParts(torch::Tensor tensor)
    : MatrixParts(tensor.size(0), tensor.size(1), tensor.scalar_type()), tensor_(std::move(tensor)) {
  FT_CHECK(tensor_.is_cpu() && tensor_.dim() == 2 && tensor_.is_contiguous());
}

template <typename T>
kernels::StridedRows<T> TensorParts::InPlace(const MatrixPart& part) const {
  return {Data<T>(tensor_) + part.first_row * columns() + part.first_column, part.rows, part.columns,
          columns()};
}

kernels::StridedRows<float> TensorParts::Part(const MatrixPart& part, float*) const {
  return InPlace<float>(part);
}

kernels::StridedRows<kernels::BF16> TensorParts::Part(const MatrixPart& part, kernels::BF16*) const {
  return InPlace<kernels::BF16>(part);
}

}  // namespace ft::ops
