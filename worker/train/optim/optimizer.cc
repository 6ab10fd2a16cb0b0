#include "worker/train/optim/optimizer.h"

#include <algorithm>

#include "core/base/check.h"
#include "worker/train/optim/adamw.h"
#include "worker/train/optim/adamw_8bit.h"
#include "worker/train/optim/sgd.h"

namespace ft::optim {
namespace {

std::vector<StateTensor> StateOf(std::string_view kind, const params::ParameterStore& store) {
  std::vector<StateTensor> state;
  for (const plan::StateArray& array : plan::StateArraysOf(kind)) {
    state.push_back({array, plan::ArrayLayout::Of(store.table(), store.share(), array), state.size()});
  }
  return state;
}

std::unique_ptr<offload::StateArrays> ArraysOf(std::string_view kind, std::span<const StateTensor> state,
                                               const params::ParameterStore& store,
                                               std::unique_ptr<offload::Tier> tier) {
  offload::ArraysShape shape{
      .arrays = plan::StateArraysOf(kind), .weights = store.share().elements(), .device = store.device()};
  for (const StateTensor& array : state) shape.items.push_back(array.layout.items());
  return tier == nullptr ? offload::ResidentArrays(shape) : offload::ArraysOnTier(shape, std::move(tier));
}

}  // namespace

std::unique_ptr<Optimizer> Optimizer::Of(const recipe::OptimizerSpec& spec, params::ParameterStore& store,
                                         std::unique_ptr<offload::Tier> tier) {
  if (spec.kind == "adamw_8bit") return std::make_unique<AdamW8bit>(spec, store, std::move(tier));
  if (spec.kind == "sgd") return std::make_unique<Sgd>(spec, store, std::move(tier));
  FT_CHECK(spec.kind == "adamw" || spec.kind == "paged_adamw") << "no optimizer " << spec.kind;
  return std::make_unique<AdamW>(spec, store, std::move(tier));
}

Optimizer::Optimizer(const recipe::OptimizerSpec& spec, params::ParameterStore& store,
                     std::unique_ptr<offload::Tier> tier)
    : spec_(spec),
      store_(store),
      owned_(plan::ArrayLayout::Of(store.table(), store.share(), {})),
      state_(StateOf(spec.kind, store)),
      arrays_(ArraysOf(spec.kind, state_, store, std::move(tier))) {}

Status Optimizer::Step(double lr) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  const Status visited = arrays_->Visit([&](const offload::StatePart& part) {
    store_.values_rest() ? UpdateResting(part, lr) : Update(part, lr);
  });
  store_.ValuesChanged();
  return visited;
}

void Optimizer::UpdateResting(const offload::StatePart& part, double lr) {
  for (int64_t begin = part.weights.begin; begin < part.weights.end; begin += plan::kTileWeights) {
    offload::StatePart tile = part;
    tile.weights = {begin, std::min(begin + plan::kTileWeights, part.weights.end)};
    here_ = {tile.weights, store_.ReadShare(tile.weights)};
    Update(tile, lr);
    store_.WriteShare(begin, here_.values);
  }
  here_ = {};
}

StatusOr<torch::Tensor> Optimizer::ReadItems(const StateTensor& array, plan::Extent items) const {
  return arrays_->Read(array.index, items);
}

Status Optimizer::WriteItems(const StateTensor& array, int64_t begin, const torch::Tensor& items) {
  return arrays_->Write(array.index, begin, items);
}

double Optimizer::RatioOf(int index) const {
  const bool has_its_own = spec_.loraplus_lr_ratio > 0 && store_.name(index).ends_with(".lora_B.weight");
  return has_its_own ? spec_.loraplus_lr_ratio : 1;
}

std::vector<Optimizer::Stretch> Optimizer::Stretches() const {
  std::vector<Stretch> by_tensor, joined;
  for (int i = 0; i < store_.size(); ++i) {
    const plan::ArrayLayout::Items& owned = owned_.OfTensor(i);
    if (owned.count > 0) by_tensor.push_back({owned.weights, owned.begin, RatioOf(i)});
  }
  std::sort(by_tensor.begin(), by_tensor.end(),
            [](const Stretch& a, const Stretch& b) { return a.in_share < b.in_share; });
  for (const Stretch& next : by_tensor) {
    const bool follows =
        !joined.empty() && joined.back().whole.end == next.whole.begin && joined.back().ratio == next.ratio;
    if (follows) {
      joined.back().whole.end = next.whole.end;
    } else {
      joined.push_back(next);
    }
  }
  return joined;
}

Optimizer::Stretch Optimizer::OfTensor(int index) const {
  const plan::ArrayLayout::Items& owned = owned_.OfTensor(index);
  const plan::TensorRange& range = store_.range(index);
  const int64_t end = std::min(owned.weights.end, range.begin + range.elements);
  return {{owned.weights.begin, std::max(owned.weights.begin, end)}, owned.begin, RatioOf(index)};
}

Optimizer::Stretch Optimizer::Within(const Stretch& stretch, plan::Extent weights) {
  const int64_t elements = stretch.whole.end - stretch.whole.begin;
  const int64_t from = std::max(stretch.in_share, weights.begin);
  const int64_t to = std::max(from, std::min(stretch.in_share + elements, weights.end));
  const int64_t begin = stretch.whole.begin + from - stretch.in_share;
  return {{begin, begin + to - from}, from, stretch.ratio};
}

torch::Tensor Optimizer::Values(const Stretch& stretch) const {
  if (!store_.values_rest()) return store_.OwnedValues(stretch.whole);
  return here_.values.narrow(0, stretch.in_share - here_.weights.begin,
                             stretch.whole.end - stretch.whole.begin);
}

torch::Tensor Optimizer::Gradients(const Stretch& stretch) const {
  return store_.gradient_sums().narrow(0, stretch.in_share, stretch.whole.end - stretch.whole.begin);
}

}  // namespace ft::optim
