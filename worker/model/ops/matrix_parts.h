// The matrix of a product as its small products see it: given part by part, so that one which lies in memory
// as 4-bit codes is never whole.
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "kernels/panel/panel.h"

namespace ft::ops {

struct MatrixPart {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_column = 0;
  int64_t columns = 0;
};

// Thread-safe once made.
class MatrixParts {
 public:
  MatrixParts(int64_t rows, int64_t columns, at::ScalarType type)
      : rows_(rows), columns_(columns), type_(type) {}
  virtual ~MatrixParts() = default;
  MatrixParts(const MatrixParts&) = delete;
  MatrixParts& operator=(const MatrixParts&) = delete;

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  // float32 or bfloat16.
  at::ScalarType type() const { return type_; }

  // Where the part's values are: in place, or in `scratch`, which holds ScratchSize(part). REQUIRES: T is
  // type().
  virtual kernels::StridedRows<float> Part(const MatrixPart& part, float* scratch) const = 0;
  virtual kernels::StridedRows<kernels::BF16> Part(const MatrixPart& part, kernels::BF16* scratch) const = 0;

  // Rows of scratch are a little longer than the part's, so that they do not share cache lines' places.
  static constexpr int64_t ScratchStride(int64_t columns) { return columns + 32; }
  static constexpr int64_t ScratchSize(const MatrixPart& part) { return part.rows * ScratchStride(part.columns); }

 private:
  const int64_t rows_, columns_;
  const at::ScalarType type_;
};

// A tensor in memory, contiguous, two-dimensional, on the CPU.
class TensorParts final : public MatrixParts {
 public:
  explicit TensorParts(torch::Tensor tensor);
  kernels::StridedRows<float> Part(const MatrixPart& part, float* scratch) const override;
  kernels::StridedRows<kernels::BF16> Part(const MatrixPart& part, kernels::BF16* scratch) const override;

 private:
  template <typename T>
  kernels::StridedRows<T> InPlace(const MatrixPart& part) const;

  const torch::Tensor tensor_;
};

}  // namespace ft::ops
