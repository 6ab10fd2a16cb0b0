#include "worker/train/optim/optimizer.h"

#include <algorithm>

#include "core/base/check.h"
#include "worker/train/optim/adamw.h"
#include "worker/train/optim/adamw_8bit.h"
#include "worker/train/optim/sgd.h"

namespace ft::optim {
namespace {

at::ScalarType TypeOf(plan::StateType type) {
  return type == plan::StateType::kFloat32 ? at::kFloat : at::kByte;
}

std::vector<StateTensor> StateOf(std::string_view kind, const params::ParameterStore& store) {
  std::vector<StateTensor> state;
  for (const plan::StateArray& array : plan::StateArraysOf(kind)) {
    plan::ArrayLayout layout = plan::ArrayLayout::Of(store.table(), store.share(), array);
    torch::Tensor items =
        torch::zeros({layout.items()}, at::TensorOptions(TypeOf(array.type)).device(store.device()));
    state.push_back({array, std::move(layout), std::move(items)});
  }
  return state;
}

}  // namespace

std::unique_ptr<Optimizer> Optimizer::Of(const recipe::OptimizerSpec& spec, params::ParameterStore& store) {
  if (spec.kind == "adamw_8bit") return std::make_unique<AdamW8bit>(spec, store);
  if (spec.kind == "sgd") return std::make_unique<Sgd>(spec, store);
  // A paged one's moments lie where the weights do, as long as nothing moves them.
  FT_CHECK(spec.kind == "adamw" || spec.kind == "paged_adamw") << "no optimizer " << spec.kind;
  return std::make_unique<AdamW>(spec, store);
}

Optimizer::Optimizer(const recipe::OptimizerSpec& spec, params::ParameterStore& store)
    : spec_(spec),
      store_(store),
      owned_(plan::ArrayLayout::Of(store.table(), store.share(), {})),
      state_(StateOf(spec.kind, store)) {}

void Optimizer::Step(double lr) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  Update(lr);
  store_.ValuesChanged();
}

int64_t Optimizer::state_bytes() const {
  int64_t bytes = 0;
  for (const StateTensor& state : state_) bytes += static_cast<int64_t>(state.items.nbytes());
  return bytes;
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

torch::Tensor Optimizer::Values(const Stretch& stretch) const { return store_.OwnedValues(stretch.whole); }

torch::Tensor Optimizer::Gradients(const Stretch& stretch) const {
  return store_.gradient_sums().narrow(0, stretch.in_share, stretch.whole.end - stretch.whole.begin);
}

}  // namespace ft::optim
