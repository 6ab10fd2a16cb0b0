// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), equal to torch.optim.AdamW: bias
// correction first, eps added to the corrected root (worker/model/ops/adamw.h). It is elementwise, and shares are whole granules, so results
// do not depend on the number of threads or on where a shard begins.
#pragma once

#include "worker/model/ops/adamw.h"
#include "worker/train/optim/optimizer.h"

namespace ft::optim {

// The step after which `steps` are done.
ops::AdamWStep AdamWStepOf(const recipe::OptimizerSpec& spec, double lr, int64_t steps);

// Also paged_adamw: where moments lie changes none.
class AdamW final : public Optimizer {
 public:
  AdamW(const recipe::OptimizerSpec& spec, params::ParameterStore& store,
        std::unique_ptr<offload::Tier> tier);

 private:
  void Update(const offload::StatePart& part, double lr) override;

  const std::vector<Stretch> stretches_;
};

}  // namespace ft::optim
