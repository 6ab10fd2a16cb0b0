// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), equal to torch.optim.AdamW: bias
// correction first, eps added to the corrected root. LibTorch's fused CPU kernel does the arithmetic; it is elementwise,
// so results do not depend on the number of threads or on where a shard begins.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

namespace ft::optim {

// One trainable tensor and its accumulated gradient: fp32, contiguous, equal shapes.
struct ParamRef {
  std::string name;
  torch::Tensor value;
  torch::Tensor gradient;
};

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
  AdamW(AdamWConfig config, std::vector<ParamRef> parameters);

  // One update with learning rate `lr`, from the gradients as they are.
  void Step(double lr);

  // Updates done so far: the t of the bias correction.
  int64_t steps() const { return steps_; }
  const std::vector<ParamRef>& parameters() const { return parameters_; }
  const std::vector<Moments>& moments() const { return moments_; }
  // For resume: the moments are filled in place by the caller, then the count is set.
  std::vector<Moments>& mutable_moments() { return moments_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  const AdamWConfig config_;
  std::vector<ParamRef> parameters_;
  std::vector<Moments> moments_;
  int64_t steps_ = 0;
};

}  // namespace ft::optim
