#include "worker/train/optim/adamw.h"

namespace ft::optim {

AdamW::AdamW(AdamWConfig config, params::ParameterStore& store) : config_(config), store_(store) {
  store_.MakeMoments();
}

void AdamW::Step(double lr) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  if (store_.size() > 0) {
    // All tensors end to end: padding has no gradient and stays zero.
    at::_fused_adamw_(
        {store_.values()}, {store_.gradients()}, {store_.first_moments()}, {store_.second_moments()},
        /*max_exp_avg_sqs=*/{}, {torch::full({}, static_cast<double>(steps_), store_.values().options())}, lr,
        config_.beta1, config_.beta2, config_.weight_decay, config_.eps, /*amsgrad=*/false,
        /*maximize=*/false);
  }
  store_.ValuesChanged();
}

}  // namespace ft::optim
