#include "worker/train/optim/adamw.h"

#include <algorithm>

namespace ft::optim {

AdamW::AdamW(AdamWConfig config, params::ParameterStore& store)
    : config_(config), store_(store), stretches_(StretchesOf(config, store)) {
  store_.MakeMoments();
}

std::vector<AdamW::Stretch> AdamW::StretchesOf(const AdamWConfig& config,
                                               const params::ParameterStore& store) {
  const int64_t all = store.table().elements();
  if (config.lora_b_ratio == 0) return {{0, all, 1}};
  std::vector<Stretch> stretches;
  int64_t begin = 0;
  const auto to = [&](int64_t end, double ratio) {
    if (end > begin) stretches.push_back({begin, end, ratio});
    begin = end;
  };
  std::vector<plan::Extent> of_b;
  for (const plan::TensorRange& range : store.table().ranges()) {
    if (range.tensor.name.ends_with(".lora_B.weight"))
      of_b.push_back({range.begin, range.begin + range.elements});
  }
  std::sort(of_b.begin(), of_b.end(),
            [](const plan::Extent& a, const plan::Extent& b) { return a.begin < b.begin; });
  for (const plan::Extent& b : of_b) {
    to(b.begin, 1);
    to(b.end, config.lora_b_ratio);
  }
  to(all, 1);
  return stretches;
}

void AdamW::Step(double lr) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  const torch::Tensor gradients = store_.gradient_sums();
  const torch::Tensor steps = torch::full({}, static_cast<double>(steps_), gradients.options());
  for (const plan::Share::Part& part : store_.share().parts()) {
    for (const Stretch& stretch : stretches_) {
      const int64_t begin = std::max(part.whole.begin, stretch.begin);
      const int64_t elements = std::min(part.whole.end, stretch.end) - begin;
      if (elements <= 0) continue;
      const auto owned = [&](const torch::Tensor& share) {
        return share.narrow(0, part.begin + begin - part.whole.begin, elements);
      };
      // Tensors end to end: padding has no gradient and stays zero.
      at::_fused_adamw_({store_.OwnedValues({begin, begin + elements})}, {owned(gradients)},
                        {owned(store_.first_moments())}, {owned(store_.second_moments())},
                        /*max_exp_avg_sqs=*/{}, {steps.clone()}, lr * stretch.ratio, config_.beta1,
                        config_.beta2, config_.weight_decay, config_.eps, /*amsgrad=*/false,
                        /*maximize=*/false);
    }
  }
  store_.ValuesChanged();
}

}  // namespace ft::optim
