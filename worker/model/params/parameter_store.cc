#include "worker/model/params/parameter_store.h"

#include <algorithm>
#include <utility>

namespace ft::params {

ParameterStore::ParameterStore(plan::SliceTable table, at::Device device)
    : table_(std::move(table)),
      values_(torch::zeros({table_.elements()}, at::TensorOptions(at::kFloat).device(device))),
      gradients_(torch::zeros_like(values_)) {}

int ParameterStore::Find(std::string_view name) const {
  const auto ranges = table_.ranges();
  const auto found = std::lower_bound(
      ranges.begin(), ranges.end(), name,
      [](const plan::TensorRange& range, std::string_view name) { return range.tensor.name < name; });
  return found != ranges.end() && found->tensor.name == name ? static_cast<int>(found - ranges.begin()) : -1;
}

torch::Tensor ParameterStore::View(const torch::Tensor& whole, int index) const {
  const plan::TensorRange& at = range(index);
  return whole.narrow(0, at.begin, at.elements).view(at.tensor.shape);
}

void ParameterStore::MakeMoments() {
  first_moments_ = torch::zeros_like(values_);
  second_moments_ = torch::zeros_like(values_);
}

void ParameterStore::ZeroGradients() { gradients_.zero_(); }

void ParameterStore::AddGradient(int index, const torch::Tensor& gradient) {
  this->gradient(index).add_(gradient);
}

}  // namespace ft::params
