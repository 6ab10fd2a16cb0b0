// Tensors of a parameter store, wherever they lie, to and from safetensors files: one tensor at a time passes through host memory.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/params/parameter_store.h"
#include "worker/model/weights/safetensors.h"

namespace ft::checkpoint {

struct NamedTensor {
  std::string name;
  torch::Tensor tensor;  // float32, contiguous.
};

// The store's values, by name.
std::vector<NamedTensor> ValuesOf(const params::ParameterStore& store);

// Writes them as float32, in the order given. Returns the file's SHA-256 in hexadecimal.
StatusOr<std::string> WriteTensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                                   const weights::SafetensorsWriter::Metadata& metadata,
                                   const weights::SafetensorsWriter::Progress& progress);

// Reads the tensor of that name into `to.tensor`. DATA_LOSS where the file has none of that name, shape and type.
Status ReadTensor(const weights::SafetensorsFile& file, const NamedTensor& to);

}  // namespace ft::checkpoint
