#include "worker/train/optim/adamw.h"

#include "core/base/check.h"

namespace ft::optim {

AdamW::AdamW(AdamWConfig config, std::vector<params::ParamRef> parameters)
    : config_(config), parameters_(std::move(parameters)) {
  for (const params::ParamRef& p : parameters_) {
    FT_CHECK(p.value.is_contiguous() && p.gradient.is_contiguous() && p.value.sizes() == p.gradient.sizes()) << p.name;
    FT_CHECK(p.value.scalar_type() == torch::kFloat32 && p.gradient.scalar_type() == torch::kFloat32) << p.name;
    moments_.push_back({torch::zeros_like(p.value), torch::zeros_like(p.value)});
  }
}

void AdamW::Step(double lr) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  const torch::Tensor count = torch::full({}, static_cast<double>(steps_), torch::kFloat32);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    // The kernel takes the step after the update, so each call gets its own copy.
    at::_fused_adamw_({parameters_[i].value.detach()}, {parameters_[i].gradient}, {moments_[i].first}, {moments_[i].second},
                      /*max_exp_avg_sqs=*/{}, {count.clone()}, lr, config_.beta1, config_.beta2,
                      config_.weight_decay, config_.eps, /*amsgrad=*/false, /*maximize=*/false);
  }
}

}  // namespace ft::optim
