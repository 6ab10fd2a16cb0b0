// AdamW whose moments have 8 bits, equal to bitsandbytes' AdamW8bit (kernels/adamw_8bit/adamw_8bit.h); those of tensors with fewer than
// 4,096 weights stay float32.
#pragma once

#include "worker/train/optim/optimizer.h"

namespace ft::optim {

class AdamW8bit final : public Optimizer {
 public:
  AdamW8bit(const recipe::OptimizerSpec& spec, params::ParameterStore& store);

 private:
  void Update(double lr) override;
  void UpdateTensor(int index, const Stretch& stretch, double lr);
};

}  // namespace ft::optim
