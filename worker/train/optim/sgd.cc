#include "worker/train/optim/sgd.h"

#include <algorithm>

namespace ft::optim {
namespace {

constexpr int64_t kWeightsAtOnce = 1 << 20;  // Of which a change is held.

}  // namespace

Sgd::Sgd(const recipe::OptimizerSpec& spec, params::ParameterStore& store,
         std::unique_ptr<offload::Tier> tier)
    : Optimizer(spec, store, std::move(tier)), stretches_(Stretches()) {}

void Sgd::Update(const offload::StatePart& part, double lr) {
  for (const Stretch& all : stretches_) {
    const Stretch stretch = Within(all, part.weights);
    if (stretch.whole.begin == stretch.whole.end) continue;
    const torch::Tensor values = Values(stretch), gradients = Gradients(stretch);
    for (int64_t begin = 0; begin < values.numel(); begin += kWeightsAtOnce) {
      const int64_t count = std::min(kWeightsAtOnce, values.numel() - begin);
      const torch::Tensor some = values.narrow(0, begin, count);
      // Products are rounded before they are added: LibTorch fuses the two in vectors, and the end of a vector is where a share ends.
      torch::Tensor change = some * spec().weight_decay;
      change.add_(gradients.narrow(0, begin, count)).mul_(lr * stretch.ratio);
      some.sub_(change);
    }
  }
}

}  // namespace ft::optim
