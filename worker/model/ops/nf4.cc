#include "worker/model/ops/nf4.h"

#include <algorithm>
#include <utility>

#include "kernels/nf4/nf4.h"
#include "worker/device/staging.h"
#include "worker/model/ops/dynamic_map.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"

namespace ft::ops {
namespace {

using torch::Tensor;

// Values that a thread has in float32 at a time, in its core's second cache.
constexpr int64_t kBroughtValues = 1 << 15;

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

// Rows in memory.
struct Rows {
  int64_t rows, columns, stride;
};

void Dequantise(const Nf4Tensor& tensor, const Rows& shape, const Tensor& out) {
  kernels::Nf4Maxima maxima;
  Tensor map;
  if (tensor.absmax.defined()) {
    maxima.absmax = Data<float>(tensor.absmax);
  } else {
    map = DynamicMapsOn(out.device()).signed_map;
    maxima.nested = {Data<uint8_t>(tensor.absmax_codes), Data<float>(tensor.nested_absmax), tensor.offset};
    maxima.map = Data<float>(map);
  }
  WithType(out.scalar_type(), [&](auto element) {
    using T = decltype(element);
    Launch(out, &KernelsOf<T>::nf4_dequantise,
           {Data<uint8_t>(tensor.packed), maxima, shape.rows, shape.columns, static_cast<T*>(out.data_ptr()),
            shape.stride});
  });
}

// The maxima, a 64th of the values, are quantised on the host: their mean has one order of sums.
void QuantiseMaxima(const Tensor& absmax, Nf4Tensor& tensor) {
  tensor.offset = kernels::NestedOffset(Data<float>(absmax), absmax.numel());
  QuantiseAbsmax(absmax, tensor.offset, tensor.absmax_codes, tensor.nested_absmax);
}

}  // namespace

int64_t Nf4Tensor::count() const {
  int64_t product = 1;
  for (int64_t size : shape) product *= size;
  return product;
}

void QuantiseAbsmax(const Tensor& absmax, float offset, Tensor& codes, Tensor& nested_absmax) {
  const int64_t blocks = absmax.numel();
  codes = torch::empty({blocks}, torch::kUInt8);
  nested_absmax = torch::empty({kernels::NestedBlocks(blocks)}, torch::kFloat);
  OverRows(kernels::NestedBlocks(blocks), kernels::kNestedBlock * 16, [&](int64_t first, int64_t last) {
    kernels::NestedQuantise(Data<float>(absmax), blocks, offset, first, last,
                            {MutableData<uint8_t>(codes), MutableData<float>(nested_absmax)});
  });
}

Nf4Tensor QuantiseNf4(const Tensor& values) {
  FT_CHECK(values.scalar_type() == torch::kFloat && values.numel() > 0);
  const int64_t count = values.numel(), blocks = kernels::Nf4Blocks(count);
  Nf4Tensor tensor{.shape = values.sizes().vec(),
                   .packed = torch::empty({(count + 1) / 2}, values.options().dtype(torch::kUInt8))};
  const Tensor absmax = torch::empty({blocks}, values.options());
  Launch(values, &KernelTable::nf4_quantise,
         {Data<float>(values), count, MutableData<uint8_t>(tensor.packed), MutableData<float>(absmax)});
  QuantiseMaxima(device::Download(absmax), tensor);
  return ToDevice(std::move(tensor), values.device());
}

Nf4Tensor QuantiseNf4(std::vector<int64_t> shape,
                      const std::function<void(int64_t first, std::span<float> values)>& bring) {
  Nf4Tensor tensor{.shape = std::move(shape)};
  const int64_t count = tensor.count();
  FT_CHECK(count > 0);
  tensor.packed = torch::empty({(count + 1) / 2}, torch::kUInt8);
  const Tensor absmax = torch::empty({kernels::Nf4Blocks(count)}, torch::kFloat);
  auto* const packed = MutableData<uint8_t>(tensor.packed);
  auto* const maxima = MutableData<float>(absmax);
  OverRows((count + kBroughtValues - 1) / kBroughtValues, kBroughtValues, [&](int64_t first, int64_t last) {
    std::vector<float> values(kBroughtValues);
    for (int64_t begin = first * kBroughtValues; begin < std::min(count, last * kBroughtValues);
         begin += kBroughtValues) {
      const int64_t size = std::min(kBroughtValues, count - begin);
      bring(begin, std::span(values).first(static_cast<size_t>(size)));
      kernels::Nf4Quantise(values.data(), size, 0, kernels::Nf4Blocks(size), packed + begin / 2,
                           maxima + begin / kernels::kNf4Block);
    }
  });
  QuantiseMaxima(absmax, tensor);
  return tensor;
}

Nf4Tensor ToDevice(Nf4Tensor tensor, at::Device device) {
  for (Tensor* part : {&tensor.packed, &tensor.absmax_codes, &tensor.nested_absmax, &tensor.absmax}) {
    if (part->defined() && part->device() != device) *part = device::Upload(*part, device);
  }
  return tensor;
}

Tensor RestoreAbsmax(const Nf4Tensor& tensor) {
  if (tensor.absmax.defined()) return tensor.absmax;
  const int64_t blocks = kernels::Nf4Blocks(tensor.count());
  Tensor absmax = torch::empty({blocks}, tensor.nested_absmax.options());
  const kernels::NestedIn in{Data<uint8_t>(tensor.absmax_codes), Data<float>(tensor.nested_absmax),
                             tensor.offset};
  const Tensor map = DynamicMapsOn(absmax.device()).signed_map;
  Launch(absmax, &KernelTable::nested_dequantise, {in, Data<float>(map), blocks, MutableData<float>(absmax)});
  return absmax;
}

Tensor DequantiseNf4(const Nf4Tensor& tensor, at::ScalarType type) {
  Tensor out = torch::empty(tensor.shape, tensor.packed.options().dtype(type));
  Dequantise(tensor, {1, tensor.count(), tensor.count()}, out);
  return out;
}

void DequantiseNf4Into(const Nf4Tensor& tensor, const Tensor& out) {
  FT_CHECK(out.sizes() == at::IntArrayRef(tensor.shape) && out.dim() == 2 && out.stride(1) == 1)
      << out.sizes();
  Dequantise(tensor, {out.size(0), out.size(1), out.stride(0)}, out);
}

std::unique_ptr<MatrixTiles> Nf4Tiles(const Nf4Tensor& tensor, at::ScalarType type) {
  return std::make_unique<DequantisedTiles>(tensor, type);
}

Tensor Nf4CodeTable() { return torch::tensor(at::ArrayRef<float>(kernels::kNf4Code, 16)); }

}  // namespace ft::ops
