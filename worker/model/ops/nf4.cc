#include "worker/model/ops/nf4.h"

#include "kernels/nf4/nf4.h"
#include "worker/model/ops/cuda_kernels.h"
#include "worker/model/ops/kernel_call.h"

namespace ft::ops {
namespace {

using torch::Tensor;

Tensor Empty(int64_t count, at::ScalarType type) { return torch::empty({count}, type); }

class DequantisedTiles final : public MatrixTiles {
 public:
  DequantisedTiles(const Nf4Tensor& tensor, at::ScalarType type)
      : MatrixTiles(tensor.shape[0], tensor.shape[1], type),
        packed_(tensor.packed),
        absmax_(RestoreAbsmax(tensor)) {
    FT_CHECK(tensor.shape.size() == 2 && packed_.is_cpu());
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
      kernels::Nf4DequantiseRange<T>(Data<uint8_t>(packed_), Data<float>(absmax_),
                                     (tile.first_row + row) * columns() + tile.first_column, tile.columns,
                                     scratch + row * stride);
    }
    return {scratch, tile.rows, tile.columns, stride};
  }

  const Tensor packed_, absmax_;
};

}  // namespace

int64_t Nf4Tensor::count() const {
  int64_t product = 1;
  for (int64_t size : shape) product *= size;
  return product;
}

void QuantiseAbsmax(const Tensor& absmax, float offset, Tensor& codes, Tensor& nested_absmax) {
  const int64_t blocks = absmax.numel();
  codes = Empty(blocks, torch::kUInt8);
  nested_absmax = Empty(kernels::NestedBlocks(blocks), torch::kFloat);
  OverRows(kernels::NestedBlocks(blocks), kernels::kNestedBlock * 16, [&](int64_t first, int64_t last) {
    kernels::NestedQuantise(Data<float>(absmax), blocks, offset, first, last,
                            {MutableData<uint8_t>(codes), MutableData<float>(nested_absmax)});
  });
}

Nf4Tensor QuantiseNf4(const Tensor& values) {
  FT_CHECK(values.scalar_type() == torch::kFloat && values.numel() > 0);
  const int64_t count = values.numel(), blocks = kernels::Nf4Blocks(count);
  Nf4Tensor tensor{.shape = values.sizes().vec(), .packed = Empty((count + 1) / 2, torch::kUInt8)};
  Tensor absmax = Empty(blocks, torch::kFloat);
  OverRows(blocks, kernels::kNf4Block * 16, [&](int64_t first, int64_t last) {
    kernels::Nf4Quantise(Data<float>(values), count, first, last, MutableData<uint8_t>(tensor.packed),
                         MutableData<float>(absmax));
  });
  tensor.offset = kernels::NestedOffset(Data<float>(absmax), blocks);
  QuantiseAbsmax(absmax, tensor.offset, tensor.absmax_codes, tensor.nested_absmax);
  return tensor;
}

Tensor RestoreAbsmax(const Nf4Tensor& tensor) {
  if (tensor.absmax.defined()) return tensor.absmax;
  const int64_t blocks = kernels::Nf4Blocks(tensor.count());
  Tensor absmax = torch::empty({blocks}, tensor.nested_absmax.options());
  const kernels::NestedIn in{Data<uint8_t>(tensor.absmax_codes), Data<float>(tensor.nested_absmax),
                             tensor.offset};
  if (absmax.is_cuda()) {
    const Tensor map = DynamicMapTable().to(absmax.device());
    LaunchCuda(Cuda().nested_dequantise, {in, Data<float>(map), blocks, MutableData<float>(absmax)});
  } else {
    OverRows(blocks, 4, [&](int64_t first, int64_t last) {
      kernels::NestedDequantise(in, first, last, MutableData<float>(absmax) + first);
    });
  }
  return absmax;
}

Tensor DequantiseNf4(const Nf4Tensor& tensor, at::ScalarType type) {
  const int64_t count = tensor.count(), blocks = kernels::Nf4Blocks(count);
  const Tensor absmax = RestoreAbsmax(tensor);
  Tensor out = torch::empty(tensor.shape, absmax.options().dtype(type));
  WithType(type, [&](auto element) {
    using T = decltype(element);
    if (out.is_cuda()) {
      return LaunchCuda(CudaOf<T>().nf4_dequantise,
                        {Data<uint8_t>(tensor.packed), Data<float>(absmax), count, MutableData<T>(out)});
    }
    OverRows(blocks, kernels::kNf4Block, [&](int64_t first, int64_t last) {
      kernels::Nf4Dequantise<T>(Data<uint8_t>(tensor.packed), Data<float>(absmax), count, first, last,
                                MutableData<T>(out));
    });
  });
  return out;
}

std::unique_ptr<MatrixTiles> Nf4Tiles(const Nf4Tensor& tensor, at::ScalarType type) {
  return std::make_unique<DequantisedTiles>(tensor, type);
}

Tensor Nf4CodeTable() { return torch::tensor(at::ArrayRef<float>(kernels::kNf4Code, 16)); }

Tensor DynamicMapTable() { return torch::tensor(at::ArrayRef<float>(kernels::DynamicMapSigned(), 256)); }

}  // namespace ft::ops
