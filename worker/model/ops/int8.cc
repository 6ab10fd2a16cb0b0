#include "worker/model/ops/int8.h"

#include "core/base/check.h"
#include "kernels/number/bf16.h"

namespace ft::ops {
namespace {

using torch::Tensor;

class DequantisedTiles final : public MatrixTiles {
 public:
  DequantisedTiles(const Int8Tensor& tensor, at::ScalarType type)
      : MatrixTiles(tensor.codes_OI.size(0), tensor.codes_OI.size(1), type), tensor_(tensor) {
    FT_CHECK(tensor.codes_OI.is_cpu());
  }
  kernels::StridedRows<float> Tile(const MatrixTile& tile, float* scratch) const override {
    return Dequantised(tile, scratch);
  }
  kernels::StridedRows<kernels::BF16> Tile(const MatrixTile& tile, kernels::BF16* scratch) const override {
    return Dequantised(tile, scratch);
  }

 private:
  template <typename T>
  kernels::StridedRows<T> Dequantised(const MatrixTile& tile, T* scratch) const {
    const int64_t stride = ScratchStride(tile.columns);
    for (int64_t row = 0; row < tile.rows; ++row) {
      const int64_t whole_row = tile.first_row + row;
      const int8_t* codes =
          tensor_.codes_OI.const_data_ptr<int8_t>() + whole_row * columns() + tile.first_column;
      const float absmax = tensor_.absmax_O.const_data_ptr<float>()[whole_row];
      T* out = scratch + row * stride;
      for (int64_t i = 0; i < tile.columns; ++i)
        out[i] = kernels::FromFloat<T>(static_cast<float>(codes[i]) * absmax / kLargestCode);
    }
    return {scratch, tile.rows, tile.columns, stride};
  }

  const Int8Tensor tensor_;
};

Tensor Values(const Int8Tensor& tensor) {
  return tensor.codes_OI.to(torch::kFloat).mul_(tensor.absmax_O.unsqueeze(1)).div_(kLargestCode);
}

}  // namespace

Int8Tensor QuantiseInt8(const Tensor& values_OI) {
  FT_CHECK(values_OI.scalar_type() == torch::kFloat && values_OI.dim() == 2 && values_OI.is_contiguous());
  const Tensor absmax_O = values_OI.abs().amax(/*dim=*/1);
  // Of a row of zeros it would be no number.
  const Tensor scale_O = at::full_like(absmax_O, kLargestCode).div_(absmax_O).masked_fill_(absmax_O == 0, 0);
  return {.codes_OI = at::mul(values_OI, scale_O.unsqueeze(1)).round_().to(torch::kInt8),
          .absmax_O = absmax_O};
}

Tensor DequantiseInt8(const Int8Tensor& tensor, at::ScalarType type) { return Values(tensor).to(type); }

void DequantiseInt8Into(const Int8Tensor& tensor, const Tensor& out_OI) { out_OI.copy_(Values(tensor)); }

std::unique_ptr<MatrixTiles> Int8Tiles(const Int8Tensor& tensor, at::ScalarType type) {
  return std::make_unique<DequantisedTiles>(tensor, type);
}

}  // namespace ft::ops
