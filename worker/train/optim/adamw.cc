#include "worker/train/optim/adamw.h"

namespace ft::optim {

ops::AdamWStep AdamWStepOf(const recipe::OptimizerSpec& spec, double lr, int64_t steps) {
  return {.lr = lr,
          .beta1 = spec.beta1,
          .beta2 = spec.beta2,
          .eps = spec.eps,
          .weight_decay = spec.weight_decay,
          .steps = steps};
}

AdamW::AdamW(const recipe::OptimizerSpec& spec, params::ParameterStore& store,
             std::unique_ptr<offload::Tier> tier)
    : Optimizer(spec, store, std::move(tier)), stretches_(Stretches()) {}

void AdamW::Update(const offload::StatePart& part, double lr) {
  for (const Stretch& all : stretches_) {
    // Tensors end to end: padding has no gradient and stays zero. The moments lie as the share does.
    const Stretch stretch = Within(all, part.weights);
    const int64_t elements = stretch.whole.end - stretch.whole.begin;
    if (elements == 0) continue;
    const auto moments = [&](const offload::StatePart::Items& items) {
      return items.values.narrow(0, stretch.in_share - items.begin, elements);
    };
    ops::AdamW(AdamWStepOf(spec(), lr * stretch.ratio, steps()), Values(stretch), Gradients(stretch),
               moments(part.items[0]), moments(part.items[1]));
  }
}

}  // namespace ft::optim
