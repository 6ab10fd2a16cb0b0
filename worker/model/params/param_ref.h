// What the optimizer and a checkpoint see of a weight that is trained.
#pragma once

#include <torch/torch.h>

#include <string>

namespace ft::params {

// One trainable tensor and its accumulated gradient: fp32, contiguous, equal shapes.
struct ParamRef {
  std::string name;
  torch::Tensor value;
  torch::Tensor gradient;
};

}  // namespace ft::params
