// From stored tensors to slots, tensor by tensor. Errors name the tensor.
#pragma once

#include <torch/types.h>

#include <memory>
#include <string>

#include "core/base/status.h"
#include "worker/model/ops/weight_slot.h"
#include "worker/model/params/parameter_store.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::params {

// A stored tensor of any floating type as float32.
StatusOr<torch::Tensor> ReadTensor(const weights::TensorSource& source, const weights::TensorInfo& info);

// Which values the matrices of a frozen base have, and so how they are kept.
enum class BaseKind {
  kStored,
  kNf4,   // NF4 with double quantisation.
  kInt8,  // 8 bits by rows.
};

struct FrozenPolicy {
  at::ScalarType stored = at::kFloat;  // What a matrix is kept as; vectors (norms, biases) are float32.
  BaseKind kind = BaseKind::kStored;   // Of a matrix: quantised instead.
  at::Device device = at::kCPU;        // Where it is kept, and quantised.
};

// A frozen weight of the name. What the file holds in 4 bits (bitsandbytes) stays so where it is NF4, whatever the policy.
StatusOr<ops::SlotPtr> ReadFrozenSlot(const weights::TensorSource& source, const weights::TensorInfo& info,
                                      std::string name, const FrozenPolicy& policy);

// Reads the tensor into the store's value `index`. A matrix is rounded to `cast_dtype` when it is used, a vector never.
// INVALID_ARGUMENT for what is stored in 4 bits.
StatusOr<ops::SlotPtr> ReadTrainedSlot(const weights::TensorSource& source, const weights::TensorInfo& info,
                                       ParameterStore& store, int index, at::ScalarType cast_dtype);

// Takes all values of the store by name from `source`. INVALID_ARGUMENT names a tensor that is missing, left over or of another
// shape; values are unchanged then.
Status ReadValues(const weights::TensorSource& source, ParameterStore& store);

}  // namespace ft::params
