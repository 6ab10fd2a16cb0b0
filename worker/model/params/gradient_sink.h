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
  // The same of rows row_U of the tensor, int64 and no two alike; the others have none.
  virtual void AddRows(int index, const torch::Tensor& row_U, const torch::Tensor& gradient_UC) = 0;
  // Zeros in which the pass may compute the tensor's first gradient, float32 and contiguous; what is there then is not added once more.
  // Undefined where it has to come by Add.
  virtual torch::Tensor Room(int /*index*/) { return {}; }
  // The pass has no more gradients of this unit (plan::TrainedTensor::unit). Units end in falling order, those that no gradient
  // reaches not at all.
  virtual void EndUnit(int unit) = 0;
};

// Adds to these rows of a tensor's gradient, for sinks: place_VC[row_U[u]] += gradient_UC[u].
void AddToRows(const torch::Tensor& place_VC, const torch::Tensor& row_U, const torch::Tensor& gradient_UC);

}  // namespace ft::params
