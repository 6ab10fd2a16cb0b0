#include "worker/train/optim/clip.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"
#include "worker/device/staging.h"
#include "worker/model/ops/flat.h"

namespace ft::optim {
namespace {

static_assert(kNormBlock == ops::kSquaresBlock);
static_assert(plan::kGranule % kNormBlock == 0 && plan::kSliceGranule % kNormBlock == 0);

bool IsFinite(const torch::Tensor& values) { return torch::isfinite(values).all().item<bool>(); }

}  // namespace

double GlobalNorm(const params::ParameterStore& store) {
  const torch::Tensor gradients = store.gradient_sums();
  FT_CHECK(gradients.numel() == store.table().elements());
  return NormOfBlocks(store.table(), SquaresByBlock(gradients).const_data_ptr<float>());
}

torch::Tensor SquaresByBlock(const torch::Tensor& gradients) {
  return device::Download(ops::SumsOfSquares(gradients));
}

double NormOfBlocks(const plan::SliceTable& table, const float* squares) {
  double total = 0;
  for (const plan::TensorRange& range : table.ranges()) {
    // Tensors begin at blocks, and what lies between them is zero.
    const int64_t first = range.begin / kNormBlock, blocks = (range.elements + kNormBlock - 1) / kNormBlock;
    for (int64_t block = first; block < first + blocks; ++block) total += squares[block];
  }
  return std::sqrt(total);
}

void ClipByNorm(params::ParameterStore& store, double norm, double max_norm) {
  if (max_norm <= 0) return;
  const double coefficient = max_norm / (norm + 1e-6);
  if (coefficient < 1) store.gradient_sums().mul_(coefficient);
}

int FirstNonFinite(const params::ParameterStore& store) {
  const torch::Tensor gradients = store.gradient_sums();
  for (int i = 0; i < store.size(); ++i) {
    const plan::TensorRange& range = store.range(i);
    for (const plan::Share::Part& part : store.share().parts()) {
      const int64_t from = std::max(range.begin, part.whole.begin);
      const int64_t to = std::min(range.begin + range.elements, part.whole.end);
      if (from < to && !IsFinite(gradients.narrow(0, part.begin + from - part.whole.begin, to - from)))
        return i;
    }
  }
  return store.size();
}

}  // namespace ft::optim
