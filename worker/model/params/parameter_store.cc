#include "worker/model/params/parameter_store.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace ft::params {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);

}  // namespace

ParameterStore::ParameterStore(plan::SliceTable table, at::Device device)
    : table_(std::move(table)),
      share_(plan::Share::Whole(table_.elements())),
      values_(torch::zeros({table_.elements()}, at::TensorOptions(at::kFloat).device(device))) {}

ParameterStore::ParameterStore(plan::SliceTable table, plan::Share share, at::ScalarType copy_type,
                               at::Device device, WeightTier* tier)
    : table_(std::move(table)),
      share_(std::move(share)),
      copy_type_(copy_type),
      copies_(table_.ranges().size()),
      values_(torch::zeros({tier == nullptr ? share_.elements() : 0},
                           at::TensorOptions(at::kFloat).device(device))),
      resting_(tier == nullptr
                   ? nullptr
                   : tier->Take("the trained part of the model", share_.elements() * kFloatBytes)) {}

torch::Tensor ParameterStore::weight(int index) const {
  return has_whole_values() ? value(index) : copies_[static_cast<size_t>(index)];
}

void ParameterStore::ReadFrom(int index, torch::Tensor copy) {
  FT_CHECK(!has_whole_values() && copy.sizes() == at::IntArrayRef(range(index).tensor.shape)) << name(index);
  copies_[static_cast<size_t>(index)] = std::move(copy);
}

template <typename Visit>
void ParameterStore::VisitOwned(int index, const Visit& visit) const {
  const plan::TensorRange& range = this->range(index);
  for (const plan::Share::Part& part : share_.parts()) {
    const plan::Extent both = {std::max(range.begin, part.whole.begin),
                               std::min(range.begin + range.elements, part.whole.end)};
    if (both.begin < both.end) visit(both, part.begin + both.begin - part.whole.begin);
  }
}

void ParameterStore::KeepCopies() {
  FT_CHECK(values_rest() && own_copies_.empty());
  for (int i = 0; i < size(); ++i) {
    const torch::Tensor flat = copies_[static_cast<size_t>(i)].view({-1});
    VisitOwned(i, [&](plan::Extent part, int64_t begin) {
      own_copies_.push_back({begin, flat.narrow(0, part.begin - range(i).begin, part.end - part.begin)});
    });
  }
  std::sort(own_copies_.begin(), own_copies_.end(),
            [](const OwnCopy& a, const OwnCopy& b) { return a.begin < b.begin; });
}

void ParameterStore::SetValue(int index, const torch::Tensor& value) {
  const torch::NoGradGuard no_grad;
  const plan::TensorRange& range = this->range(index);
  FT_CHECK(value.numel() == range.elements) << name(index);
  if (has_whole_values()) {
    this->value(index).copy_(value.view(range.tensor.shape));
    return;
  }
  const torch::Tensor flat = value.reshape({-1});
  VisitOwned(index, [&](plan::Extent part, int64_t begin) {
    WriteShare(begin, flat.narrow(0, part.begin - range.begin, part.end - part.begin));
  });
}

int64_t ParameterStore::InShare(plan::Extent part) const {
  if (has_whole_values()) return part.begin;
  for (const plan::Share::Part& own : share_.parts()) {
    if (own.whole.begin <= part.begin && part.end <= own.whole.end)
      return own.begin + part.begin - own.whole.begin;
  }
  FT_CHECK(false) << "values " << part.begin << " to " << part.end << " are not of this share";
  return 0;
}

torch::Tensor ParameterStore::OwnedValues(plan::Extent part) const {
  const int64_t begin = InShare(part);
  return ReadShare({begin, begin + part.end - part.begin});
}

torch::Tensor ParameterStore::ReadShare(plan::Extent part) const {
  const int64_t elements = part.end - part.begin;
  if (!values_rest()) return values_.narrow(0, part.begin, elements);
  const torch::Tensor read = torch::empty({elements}, values_.options());
  resting_->Read(part.begin * kFloatBytes, read.view(at::kByte));
  return read;
}

void ParameterStore::WriteShare(int64_t begin, const torch::Tensor& values) {
  if (!values_rest()) {
    values_.narrow(0, begin, values.numel()).copy_(values);
    return;
  }
  // By way of the device, in whose order the tier is read.
  const torch::Tensor here = values.to(values_.options()).contiguous();
  resting_->Write(begin * kFloatBytes, here.view(at::kByte));
  RoundIntoCopies(begin, here);
}

// `values` are those of the share from value `begin` on.
void ParameterStore::RoundIntoCopies(int64_t begin, const torch::Tensor& values) {
  const int64_t end = begin + values.numel();
  auto own = std::partition_point(own_copies_.begin(), own_copies_.end(),
                                  [begin](const OwnCopy& of) { return of.begin + of.copy.numel() <= begin; });
  for (; own != own_copies_.end() && own->begin < end; ++own) {
    const int64_t from = std::max(begin, own->begin), to = std::min(end, own->begin + own->copy.numel());
    own->copy.narrow(0, from - own->begin, to - from).copy_(values.narrow(0, from - begin, to - from));
  }
}

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
  if (!gradients_.defined()) gradients_ = torch::zeros({table_.elements()}, values_.options());
  return gradients_;
}

void ParameterStore::Own(plan::Share share, bool apart) {
  FT_CHECK(has_whole_values() || share.elements() == share_.elements());
  share_ = std::move(share);
  sums_ = apart ? torch::zeros({share_.elements()}, values_.options()) : torch::Tensor();
  if (apart) gradients_ = torch::Tensor();
}

torch::Tensor ParameterStore::gradient_sums() const {
  return sums_.defined() ? sums_ : gradients().narrow(0, 0, share_.elements());
}

void ParameterStore::ZeroGradients() { torch::Tensor(gradients()).zero_(); }

void ParameterStore::Add(int index, const torch::Tensor& gradient) { this->gradient(index).add_(gradient); }

void ParameterStore::AddRows(int index, const torch::Tensor& row_U, const torch::Tensor& gradient_UC) {
  AddToRows(gradient(index), row_U, gradient_UC);
}

plan::StateBytes ParameterStore::held() const {
  const auto bytes = [](const torch::Tensor& tensor) {
    return tensor.defined() ? static_cast<int64_t>(tensor.nbytes()) : 0;
  };
  int64_t values = bytes(values_);
  for (int i = 0; i < static_cast<int>(copies_.size()); ++i) {
    const torch::Tensor& copy = copies_[static_cast<size_t>(i)];
    const plan::Extent padded = plan::PaddedOf(range(i));
    if (copy.defined() && copy.storage().data() != nullptr)
      values += (padded.end - padded.begin) * static_cast<int64_t>(copy.element_size());
  }
  return {.values = values, .gradients = bytes(gradients_) + bytes(sums_)};
}

}  // namespace ft::params
