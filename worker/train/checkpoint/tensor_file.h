// Tensors of a parameter store, wherever they lie, to and from safetensors files: one tensor at a time passes through host memory.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/params/parameter_store.h"
#include "worker/model/weights/safetensors.h"

namespace ft::checkpoint {

struct NamedTensor {
  std::string name;
  torch::Tensor tensor;  // float32 or uint8, contiguous.
};

// Tensor `index` of a store's values, [its shape]: the store's own, or brought together from the ranks that divide them.
using ReadValue = std::function<StatusOr<torch::Tensor>(int index)>;

// The store's own. REQUIRES: it has whole values, and outlives the function.
ReadValue OwnValues(const params::ParameterStore& store);

// A tensor that is made when its turn comes: float32, contiguous.
struct PendingTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::function<StatusOr<torch::Tensor>()> make;
};

PendingTensor Pending(NamedTensor tensor);
// The store's values, by name.
std::vector<PendingTensor> ValuesOf(const params::ParameterStore& store, const ReadValue& read);

// Writes them as float32, in the order given, and makes each as it is written. Returns the file's SHA-256 in hexadecimal.
StatusOr<std::string> WriteTensors(const std::filesystem::path& path,
                                   const std::vector<PendingTensor>& tensors,
                                   const weights::SafetensorsWriter::Metadata& metadata,
                                   const weights::SafetensorsWriter::Progress& progress);

// How files call a tensor's type. REQUIRES: float32 or uint8.
weights::DType DTypeOf(at::ScalarType type);

// What the file has of that name. DATA_LOSS where that is nothing of the wanted shape and type.
StatusOr<const weights::TensorInfo*> FindTensor(const weights::SafetensorsFile& file,
                                                const weights::TensorInfo& wanted);

}  // namespace ft::checkpoint
