// Stochastic gradient descent without momentum, by torch.optim.SGD's formula: weight decay is added to the gradient. It keeps no state.
#pragma once

#include "worker/train/optim/optimizer.h"

namespace ft::optim {

class Sgd final : public Optimizer {
 public:
  Sgd(const recipe::OptimizerSpec& spec, params::ParameterStore& store, std::unique_ptr<offload::Tier> tier);

 private:
  void Update(const offload::StatePart& part, double lr) override;

  const std::vector<Stretch> stretches_;
};

}  // namespace ft::optim
