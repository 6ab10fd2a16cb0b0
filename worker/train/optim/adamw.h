// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), equal to torch.optim.AdamW: bias
// correction first, eps added to the corrected root. LibTorch's fused CPU kernel does the arithmetic; it is elementwise,
// so results do not depend on the number of threads or on where a shard begins.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "worker/model/params/param_ref.h"

namespace ft::optim {

struct AdamWConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
};

// First and second moments of one parameter, fp32, its shape.
struct Moments {
  torch::Tensor first;
  torch::Tensor second;
};

// Owns the moments. One thread.
class AdamW {
 public:
  AdamW(AdamWConfig config, std::vector<params::ParamRef> parameters);

  // One update with learning rate `lr`, from the gradients as they are.
  void Step(double lr);

  // Updates done so far: the t of the bias correction.
  int64_t steps() const { return steps_; }
  const std::vector<params::ParamRef>& parameters() const { return parameters_; }
  const std::vector<Moments>& moments() const { return moments_; }
  // For resume: the moments are filled in place by the caller, then the count is set.
  std::vector<Moments>& mutable_moments() { return moments_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  const AdamWConfig config_;
  std::vector<params::ParamRef> parameters_;
  std::vector<Moments> moments_;
  int64_t steps_ = 0;
};

}  // namespace ft::optim
