// Where the gradients of a backward pass go.
#pragma once

#include <torch/types.h>

namespace ft::params {

// Called on the training thread, by one pass at a time.
class GradientSink {
 public:
  virtual ~GradientSink() = default;
  // The gradient of tensor `index` of the store, float32. A weight with several uses in a pass comes once a use.
  virtual void Add(int index, const torch::Tensor& gradient) = 0;
  // The pass has no more gradients of this unit (plan::TrainedTensor::unit). Units end in falling order, those that no gradient
  // reaches not at all.
  virtual void EndUnit(int unit) = 0;
};

}  // namespace ft::params
