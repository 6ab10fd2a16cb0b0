#include "worker/train/optim/clip.h"

#include <cmath>

#include "worker/device/staging.h"
#include "worker/model/ops/flat.h"

namespace ft::optim {
namespace {

constexpr int64_t kBlock = ops::kSquaresBlock;
static_assert(plan::kGranule % kBlock == 0);

}  // namespace

double GlobalNorm(const params::ParameterStore& store) {
  const torch::Tensor sums = device::Download(ops::SumsOfSquares(store.gradients()));
  const float* sum = sums.const_data_ptr<float>();
  double total = 0;
  for (const plan::TensorRange& range : store.table().ranges()) {
    // Tensors begin at blocks, and what lies between them is zero.
    const int64_t first = range.begin / kBlock, blocks = (range.elements + kBlock - 1) / kBlock;
    for (int64_t block = first; block < first + blocks; ++block) total += sum[block];
  }
  return std::sqrt(total);
}

void ClipByNorm(params::ParameterStore& store, double norm, double max_norm) {
  if (max_norm <= 0) return;
  const double coefficient = max_norm / (norm + 1e-6);
  if (coefficient < 1) store.gradients().mul_(coefficient);
}

std::string FirstNonFinite(const params::ParameterStore& store) {
  for (int i = 0; i < store.size(); ++i) {
    if (!torch::isfinite(store.gradient(i)).all().item<bool>()) return store.name(i);
  }
  return "";
}

}  // namespace ft::optim
