#include "worker/train/optim/adamw_8bit.h"

#include "worker/model/ops/adamw_8bit.h"
#include "worker/train/optim/adamw.h"

namespace ft::optim {
namespace {

static_assert(ops::kAdamW8bitBlock == plan::kGranule);

}  // namespace

AdamW8bit::AdamW8bit(const recipe::OptimizerSpec& spec, params::ParameterStore& store,
                     std::unique_ptr<offload::Tier> tier)
    : Optimizer(spec, store, std::move(tier)) {}

void AdamW8bit::Update(const offload::StatePart& part, double lr) {
  for (int i = 0; i < store().size(); ++i) {
    const Stretch stretch = Within(OfTensor(i), part.weights);
    if (stretch.whole.begin < stretch.whole.end) UpdateTensor(i, stretch, part, lr * stretch.ratio);
  }
}

void AdamW8bit::UpdateTensor(int index, const Stretch& stretch, const offload::StatePart& part, double lr) {
  const int64_t elements = stretch.whole.end - stretch.whole.begin;
  const int64_t before =
      stretch.in_share - OfTensor(index).in_share;  // Of the tensor's weights, in other parts.
  std::vector<torch::Tensor> own;                   // Of the tensor's arrays, in order.
  for (const StateTensor& state : state()) {
    if (!state.array.IsOf(store().range(index).elements)) continue;
    const offload::StatePart::Items& items = part.items[state.index];
    const int64_t begin = state.layout.OfTensor(index).begin + before / state.array.weights_per_item;
    own.push_back(items.values.narrow(0, begin - items.begin, state.array.Items(elements)));
  }
  const ops::AdamWStep step = AdamWStepOf(spec(), lr, steps());
  if (own.size() == 2) {  // Those of a small tensor.
    ops::AdamW(step, Values(stretch), Gradients(stretch), own[0], own[1]);
  } else {
    ops::AdamW8bit(step, Values(stretch), Gradients(stretch), {own[0], own[1], own[2], own[3]});
  }
}

}  // namespace ft::optim
