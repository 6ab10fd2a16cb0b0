// From stored tensors to codes of NF4 on the CPU. Errors name the tensor.
#pragma once

#include "core/base/status.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::params {

// A stored tensor of any floating type, quantised: its float32 values are never all there.
StatusOr<ops::Nf4Tensor> ReadNf4(const weights::TensorSource& source, const weights::TensorInfo& info);

}  // namespace ft::params
