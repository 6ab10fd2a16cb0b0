#include "worker/train/optim/adamw_8bit.h"

#include "worker/train/optim/adamw.h"

namespace ft::optim {
namespace {

static_assert(ops::kAdamW8bitBlock == plan::kGranule);

}  // namespace

AdamW8bit::AdamW8bit(const recipe::OptimizerSpec& spec, params::ParameterStore& store)
    : Optimizer(spec, store) {}

void AdamW8bit::Update(double lr) {
  for (int i = 0; i < store().size(); ++i) {
    const Stretch stretch = OfTensor(i);
    if (stretch.whole.begin < stretch.whole.end) UpdateTensor(i, stretch, lr * stretch.ratio);
  }
}

void AdamW8bit::UpdateTensor(int index, const Stretch& stretch, double lr) {
  const int64_t elements = stretch.whole.end - stretch.whole.begin;
  std::vector<torch::Tensor> own;  // Of the tensor's arrays, in order.
  for (const StateTensor& state : state()) {
    if (!state.array.IsOf(store().range(index).elements)) continue;
    own.push_back(state.items.narrow(0, state.layout.OfTensor(index).begin, state.array.Items(elements)));
  }
  const ops::AdamWStep step = AdamWStepOf(spec(), lr, steps());
  if (own.size() == 2) {  // Those of a small tensor.
    UpdateAdamW(step, Values(stretch), Gradients(stretch), own[0], own[1]);
  } else {
    ops::AdamW8bit(step, Values(stretch), Gradients(stretch), {own[0], own[1], own[2], own[3]});
  }
}

}  // namespace ft::optim
