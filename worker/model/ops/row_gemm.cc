#include "worker/model/ops/row_gemm.h"

#include <algorithm>
#include <utility>

#include "kernels/nf4/nf4_rows.h"
#include "kernels/panel/row_sums.h"
#include "worker/model/ops/dynamic_map.h"
#include "worker/model/ops/int8_weight.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/nf4_weight.h"

namespace ft::ops {
namespace {

using torch::Tensor;

thread_local int scopes = 0;

// A block's columns by panels, as PanelGemm lays them out: sums(first output, outputs, where, their stride).
template <typename Sums>
void OverPanels(const GemmBlock& block, float* sums, Sums compute) {
  for (int64_t column = 0; column < block.columns; column += kPanelColumns) {
    const int64_t columns = std::min(kPanelColumns, block.columns - column);
    compute(block.first_column + column, columns, sums + block.rows * column);
  }
}

class Nf4RowGemm final : public PanelGemm {
 public:
  Nf4RowGemm(const Tensor& x_NI, const Nf4Tensor& weight)
      : steps_NI_(torch::empty(x_NI.sizes(), torch::kShort)),
        factors_(torch::empty(x_NI.numel() / kernels::kNf4Block, torch::kFloat)),
        map_(DynamicMapsOn(at::kCPU).signed_map),
        weight_{Data<uint8_t>(weight.packed), MaximaOf(weight), x_NI.size(1)} {
    WithType(x_NI.scalar_type(), [&](auto type) {
      const auto* const x = Data<decltype(type)>(x_NI);
      auto* const steps = MutableData<int16_t>(steps_NI_);
      auto* const factors = MutableData<float>(factors_);
      for (int64_t block = 0; block < factors_.numel(); ++block) {
        const int64_t first = block * kernels::kNf4Block;
        factors[block] = kernels::StoreNf4RowBlock(x + first, steps + first);
      }
    });
  }

  void Multiply(const GemmBlock& block, float* sums, bool add, std::byte*) const override {
    const int64_t first_value = block.first_row * weight_.columns;
    const kernels::Nf4RowBlocks x{Data<int16_t>(steps_NI_) + first_value,
                                  Data<float>(factors_) + first_value / kernels::kNf4Block, block.rows};
    OverPanels(block, sums, [&](int64_t first, int64_t columns, float* panel) {
      kernels::Nf4RowSums(weight_, x, first, first + columns, add, panel, columns);
    });
  }

 private:
  kernels::Nf4Maxima MaximaOf(const Nf4Tensor& weight) const {
    if (weight.absmax.defined()) return {.absmax = Data<float>(weight.absmax)};
    return {.nested = {Data<uint8_t>(weight.absmax_codes), Data<float>(weight.nested_absmax), weight.offset},
            .map = Data<float>(map_)};
  }

  const Tensor steps_NI_, factors_, map_;
  const kernels::Nf4Matrix weight_;
};

class Int8RowGemm final : public PanelGemm {
 public:
  Int8RowGemm(const Tensor& x_NI, const Int8Tensor& weight)
      : x_NI_(x_NI.to(torch::kFloat)), weight_(weight) {}

  void Multiply(const GemmBlock& block, float* sums, bool add, std::byte*) const override {
    const int64_t inputs = x_NI_.size(1);
    const kernels::StridedRows<float> x{Data<float>(x_NI_) + block.first_row * inputs, block.rows, inputs,
                                        inputs};
    OverPanels(block, sums, [&](int64_t first, int64_t columns, float* panel) {
      float scale[kPanelColumns];
      const float* absmax = Data<float>(weight_.absmax_O) + first;
      for (int64_t i = 0; i < columns; ++i) scale[i] = absmax[i] / kLargestCode;
      const kernels::StridedRows<int8_t> codes{Data<int8_t>(weight_.codes_OI) + first * inputs, columns,
                                               inputs, inputs};
      kernels::ScaledRowSums(codes, scale, x, add, panel, columns);
    });
  }

 private:
  const Tensor x_NI_;
  const Int8Tensor weight_;
};

class TensorRowGemm final : public PanelGemm {
 public:
  TensorRowGemm(const Tensor& x_NI, std::shared_ptr<const TensorTiles> weight)
      : x_NI_(x_NI.to(torch::kFloat)), weight_(std::move(weight)) {}

  void Multiply(const GemmBlock& block, float* sums, bool add, std::byte*) const override {
    const int64_t inputs = x_NI_.size(1);
    const kernels::StridedRows<float> x{Data<float>(x_NI_) + block.first_row * inputs, block.rows, inputs,
                                        inputs};
    OverPanels(block, sums, [&](int64_t first, int64_t columns, float* panel) {
      WithType(weight_->type(), [&](auto type) {
        decltype(type)* const in_place = nullptr;
        kernels::RowSums(weight_->Tile({first, columns, 0, inputs}, in_place), x, add, panel, columns);
      });
    });
  }

 private:
  const Tensor x_NI_;
  const std::shared_ptr<const TensorTiles> weight_;
};

bool HasWholeBlocks(const Nf4Tensor& tensor) {
  return tensor.shape.size() == 2 && tensor.shape[1] % kernels::kNf4Block == 0 && tensor.packed.is_cpu();
}

}  // namespace

FewRowsScope::FewRowsScope() { ++scopes; }
FewRowsScope::~FewRowsScope() { --scopes; }
bool FewRowsScope::Active() { return scopes > 0; }

std::unique_ptr<PanelGemm> MakeRowGemm(const Tensor& x_NI, const WeightSlot& weight_OI) {
  if (x_NI.size(0) > kMostFewRows) return nullptr;
  const Tensor x = x_NI.contiguous();
  if (const auto* nf4 = dynamic_cast<const Nf4Weight*>(&weight_OI)) {
    if (!HasWholeBlocks(nf4->tensor())) return nullptr;
    return std::make_unique<Nf4RowGemm>(x, nf4->tensor());
  }
  if (const auto* int8 = dynamic_cast<const Int8Weight*>(&weight_OI)) {
    if (!int8->tensor().codes_OI.is_cpu()) return nullptr;
    return std::make_unique<Int8RowGemm>(x, int8->tensor());
  }
  auto tensor = std::dynamic_pointer_cast<const TensorTiles>(weight_OI.Tiles(x.scalar_type()));
  return tensor == nullptr ? nullptr : std::make_unique<TensorRowGemm>(x, std::move(tensor));
}

}  // namespace ft::ops
