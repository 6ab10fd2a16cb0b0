// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), equal to torch.optim.AdamW: bias
// correction first, eps added to the corrected root. LibTorch's fused CPU kernel does the arithmetic; it is elementwise,
// so results do not depend on the number of threads or on where a shard begins.
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "worker/model/params/parameter_store.h"

namespace ft::optim {

struct AdamWConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
};

// One thread.
class AdamW {
 public:
  // Makes the store's moments. The store outlives this.
  AdamW(AdamWConfig config, params::ParameterStore& store);

  // One update of the store's values with learning rate `lr`, from its gradients as they are.
  void Step(double lr);

  const params::ParameterStore& store() const { return store_; }
  params::ParameterStore& store() { return store_; }
  // Updates done so far: the t of the bias correction. Set by resume, after the moments were filled.
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  const AdamWConfig config_;
  params::ParameterStore& store_;
  int64_t steps_ = 0;
};

}  // namespace ft::optim
