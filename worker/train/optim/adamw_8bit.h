// AdamW whose moments have 8 bits, equal to bitsandbytes' AdamW8bit (kernels/adamw_8bit/adamw_8bit.h); those of tensors with fewer than
// 4,096 weights stay float32.
#pragma once

#include "worker/train/optim/optimizer.h"

namespace ft::optim {

class AdamW8bit final : public Optimizer {
 public:
  AdamW8bit(const recipe::OptimizerSpec& spec, params::ParameterStore& store,
            std::unique_ptr<offload::Tier> tier);

 private:
  void Update(const offload::StatePart& part, double lr) override;
  // What of tensor `index` lies in the part.
  void UpdateTensor(int index, const Stretch& stretch, const offload::StatePart& part, double lr);
};

}  // namespace ft::optim
