// A parameter store with given values, for tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/model/params/parameter_store.h"

namespace ft::params {

struct NamedTensor {
  std::string name;
  torch::Tensor value;
  torch::Tensor gradient;  // Undefined: zeros.
};

inline std::unique_ptr<ParameterStore> MakeStore(const std::vector<NamedTensor>& tensors,
                                                 at::Device device = at::kCPU) {
  std::vector<plan::TrainedTensor> layout;
  for (const NamedTensor& tensor : tensors) layout.push_back({tensor.name, tensor.value.sizes().vec()});
  auto store = std::make_unique<ParameterStore>(plan::SliceTable::Of(std::move(layout)), device);
  for (const NamedTensor& tensor : tensors) {
    const int index = store->Find(tensor.name);
    store->value(index).copy_(tensor.value);
    if (tensor.gradient.defined()) store->Add(index, tensor.gradient.to(device));
  }
  return store;
}

}  // namespace ft::params
