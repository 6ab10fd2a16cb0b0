#include "worker/model/ops/matrix_tiles.h"

#include <utility>

#include "worker/model/ops/kernel_call.h"

namespace ft::ops {

TensorTiles::TensorTiles(torch::Tensor tensor)
    : MatrixTiles(tensor.size(0), tensor.size(1), tensor.scalar_type()), tensor_(std::move(tensor)) {
  FT_CHECK(tensor_.is_cpu() && tensor_.dim() == 2 && tensor_.is_contiguous());
}

template <typename T>
kernels::StridedRows<T> TensorTiles::InPlace(const MatrixTile& tile) const {
  return {Data<T>(tensor_) + tile.first_row * columns() + tile.first_column, tile.rows, tile.columns,
          columns()};
}

kernels::StridedRows<float> TensorTiles::Tile(const MatrixTile& tile, float*) const {
  return InPlace<float>(tile);
}

kernels::StridedRows<kernels::BF16> TensorTiles::Tile(const MatrixTile& tile, kernels::BF16*) const {
  return InPlace<kernels::BF16>(tile);
}

}  // namespace ft::ops
