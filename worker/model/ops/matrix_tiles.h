// The right-hand matrix of a GEMM, given tile by tile, so that one which lies in memory as 4-bit codes is
// never whole.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "kernels/panel/panel.h"

namespace ft::ops {

struct MatrixTile {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_column = 0;
  int64_t columns = 0;
};

// Thread-safe once made.
class MatrixTiles {
 public:
  MatrixTiles(int64_t rows, int64_t columns, at::ScalarType type)
      : rows_(rows), columns_(columns), type_(type) {}
  virtual ~MatrixTiles() = default;
  MatrixTiles(const MatrixTiles&) = delete;
  MatrixTiles& operator=(const MatrixTiles&) = delete;

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  // The type of the values: float32 or bfloat16.
  at::ScalarType type() const { return type_; }

  // The tile's values: in place, or in `scratch`, which holds ScratchSize(tile). REQUIRES: T is type().
  virtual kernels::StridedRows<float> Tile(const MatrixTile& tile, float* scratch) const = 0;
  virtual kernels::StridedRows<kernels::BF16> Tile(const MatrixTile& tile, kernels::BF16* scratch) const = 0;

  // Rows of scratch are a little longer than the tile's: padded against cache-set conflicts.
  static constexpr int64_t ScratchStride(int64_t columns) { return columns + 32; }
  static constexpr int64_t ScratchSize(const MatrixTile& tile) {
    return tile.rows * ScratchStride(tile.columns);
  }

 private:
  const int64_t rows_, columns_;
  const at::ScalarType type_;
};

// A tensor in memory, contiguous, two-dimensional, on the CPU.
class TensorTiles final : public MatrixTiles {
 public:
  explicit TensorTiles(torch::Tensor tensor);
  kernels::StridedRows<float> Tile(const MatrixTile& tile, float* scratch) const override;
  kernels::StridedRows<kernels::BF16> Tile(const MatrixTile& tile, kernels::BF16* scratch) const override;

 private:
  template <typename T>
  kernels::StridedRows<T> InPlace(const MatrixTile& tile) const;

  const torch::Tensor tensor_;
};

}  // namespace ft::ops
