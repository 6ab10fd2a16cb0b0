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

void UpdateAdamW(const ops::AdamWStep& step, const torch::Tensor& values, const torch::Tensor& gradients,
                 const torch::Tensor& first_moments, const torch::Tensor& second_moments) {
  const torch::Tensor steps = torch::full({}, static_cast<double>(step.steps), gradients.options());
  at::_fused_adamw_({values}, {gradients}, {first_moments}, {second_moments}, /*max_exp_avg_sqs=*/{}, {steps},
                    step.lr, step.beta1, step.beta2, step.weight_decay, step.eps, /*amsgrad=*/false,
                    /*maximize=*/false);
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
    UpdateAdamW(AdamWStepOf(spec(), lr * stretch.ratio, steps()), Values(stretch), Gradients(stretch),
                moments(part.items[0]), moments(part.items[1]));
  }
}

}  // namespace ft::optim
