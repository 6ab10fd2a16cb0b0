#include "worker/model/params/parameter_store.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace ft::params {

ParameterStore::ParameterStore(plan::SliceTable table, at::Device device)
    : table_(std::move(table)),
      share_(plan::Share::Whole(table_.elements())),
      values_(torch::zeros({table_.elements()}, at::TensorOptions(at::kFloat).device(device))) {}

int ParameterStore::Find(std::string_view name) const {
  const auto ranges = table_.ranges();
  const auto found = std::lower_bound(
      ranges.begin(), ranges.end(), name,
      [](const plan::TensorRange& range, std::string_view name) { return range.tensor.name < name; });
  return found != ranges.end() && found->tensor.name == name ? static_cast<int>(found - ranges.begin()) : -1;
}

torch::Tensor ParameterStore::View(const torch::Tensor& whole, int index) const {
  FT_CHECK(whole.numel() == table_.elements()) << "a share has no view of " << name(index);
  const plan::TensorRange& at = range(index);
  return whole.narrow(0, at.begin, at.elements).view(at.tensor.shape);
}

const torch::Tensor& ParameterStore::gradients() const {
  if (!gradients_.defined()) gradients_ = torch::zeros_like(values_);
  return gradients_;
}

void ParameterStore::Own(plan::Share share, bool apart) {
  share_ = std::move(share);
  sums_ = apart ? torch::zeros({share_.elements()}, values_.options()) : torch::Tensor();
  if (apart) gradients_ = torch::Tensor();
}

torch::Tensor ParameterStore::gradient_sums() const {
  return sums_.defined() ? sums_ : gradients().narrow(0, 0, share_.elements());
}

void ParameterStore::ZeroGradients() { torch::Tensor(gradients()).zero_(); }

void ParameterStore::Add(int index, const torch::Tensor& gradient) { this->gradient(index).add_(gradient); }

plan::StateBytes ParameterStore::held() const {
  const auto bytes = [](const torch::Tensor& tensor) {
    return tensor.defined() ? static_cast<int64_t>(tensor.nbytes()) : 0;
  };
  return {.values = bytes(values_), .gradients = bytes(gradients_) + bytes(sums_)};
}

}  // namespace ft::params
