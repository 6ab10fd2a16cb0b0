// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), equal to torch.optim.AdamW: bias
// correction first, eps added to the corrected root. LibTorch's fused CPU kernel does the arithmetic; it is elementwise,
// so results do not depend on the number of threads or on where a shard begins.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "worker/model/params/parameter_store.h"

namespace ft::optim {

struct AdamWConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  // Of LoRA+ (Hayou et al., arXiv 2402.12354): the rate of adapters' B is this many times that of the rest; 0 = the same.
  double lora_b_ratio = 0;
};

// One thread.
class AdamW {
 public:
  // Makes the store's moments. The store outlives this.
  AdamW(AdamWConfig config, params::ParameterStore& store);

  // One update of the values of the store's share with learning rate `lr`, from its summed gradients as they are.
  void Step(double lr);

  const params::ParameterStore& store() const { return store_; }
  params::ParameterStore& store() { return store_; }
  // Updates done so far: the t of the bias correction. Set by resume, after the moments were filled.
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  // Elements [begin, end) of the store, whose rate is so many times the step's.
  struct Stretch {
    int64_t begin, end;
    double ratio;
  };
  static std::vector<Stretch> StretchesOf(const AdamWConfig& config, const params::ParameterStore& store);

  const AdamWConfig config_;
  params::ParameterStore& store_;
  const std::vector<Stretch> stretches_;  // All of it, in order.
  int64_t steps_ = 0;
};

}  // namespace ft::optim
