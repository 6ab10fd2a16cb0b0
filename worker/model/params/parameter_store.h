// The one owner of what is trained: float32 values and gradients, each end to end in the order of a plan::SliceTable. Everything else refers
// to a tensor by its index in the table, which is its rank by name. Summed gradients, and the state that an optimizer keeps beside them, may
// be those of a share only, which plan::Share lays out, and values too: then weights are read from copies that others keep.
#pragma once

#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "core/plan/wire.h"
#include "worker/model/params/gradient_sink.h"
#include "worker/model/params/weight_tier.h"

namespace ft::params {

// Lives on the training thread; slots refer to it and die before it.
class ParameterStore final : public GradientSink {
 public:
  // Values are zeros, gradients too once they are asked for. The share is the whole.
  explicit ParameterStore(plan::SliceTable table, at::Device device = at::kCPU);
  // Values are those of `share`, as gradients and moments will be, and rest on `tier`, or with none on the device. What has a copy_width
  // of 2 is read as `copy_type`.
  ParameterStore(plan::SliceTable table, plan::Share share, at::ScalarType copy_type, at::Device device,
                 WeightTier* tier = nullptr);
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  const plan::SliceTable& table() const { return table_; }
  at::Device device() const { return values_.device(); }
  int size() const { return static_cast<int>(table_.ranges().size()); }
  const std::string& name(int index) const { return range(index).tensor.name; }
  const plan::TensorRange& range(int index) const { return table_.ranges()[static_cast<size_t>(index)]; }
  // The index of a name, -1 where nothing of that name is trained.
  int Find(std::string_view name) const;

  // Tensor `index` as it is read: its value, or the copy of it.
  torch::Tensor weight(int index) const;
  // Weights are read from `copy` from now on, [the tensor's shape]. REQUIRES: values of a share.
  void ReadFrom(int index, torch::Tensor copy);
  // All copies are in memory from now on: what is written of the share is rounded into its part of them at once, so that nobody has to read it
  // for that. REQUIRES: values rest, and every tensor is read from a copy.
  void KeepCopies();
  at::ScalarType copy_type() const { return copy_type_; }
  bool has_whole_values() const { return copies_.empty(); }
  // The tensor's value, whole, of which this takes what it has. Whoever changes a value calls ValuesChanged() afterwards.
  void SetValue(int index, const torch::Tensor& value);
  // Values [part.begin, part.end) of the table, as ReadShare has them. REQUIRES: they lie in one part of the share, or values are whole.
  torch::Tensor OwnedValues(plan::Extent part) const;

  // Whether values rest on a tier: then they are read and written a part at a time.
  bool values_rest() const { return resting_ != nullptr; }
  // Values [part.begin, part.end) of the share, or of all where they are whole: a view, or a copy where they rest.
  torch::Tensor ReadShare(plan::Extent part) const;
  // `values`, flat, on any device, from value `begin` of the share on.
  void WriteShare(int64_t begin, const torch::Tensor& values);

  // Views of the tensor's shape. REQUIRES: what is asked for is whole.
  torch::Tensor value(int index) const { return View(values_, index); }
  torch::Tensor gradient(int index) const { return View(gradients(), index); }

  // All of them end to end, [elements of the table, or of the share], padding (zeros) included. REQUIRES: they do not rest.
  const torch::Tensor& values() const { return values_; }
  // What passes add to; made when it is first asked for.
  const torch::Tensor& gradients() const;

  // From now on summed gradients are those of `share`. With `apart` the sums have memory of their own, and whole gradients none; else they
  // lie at the front of the whole ones. REQUIRES: no optimizer yet; the values' share where they have one.
  void Own(plan::Share share, bool apart);
  const plan::Share& share() const { return share_; }
  // [elements of the share].
  torch::Tensor gradient_sums() const;

  void ZeroGradients();
  // Into the whole gradients.
  void Add(int index, const torch::Tensor& gradient) override;
  void AddRows(int index, const torch::Tensor& row_U, const torch::Tensor& gradient_UC) override;
  void EndUnit(int) override {}

  // Bytes that are held between steps, without an optimizer's.
  plan::StateBytes held() const;

  // Forgets what slots have copied of the values into another type.
  void ValuesChanged() { ++version_; }
  int64_t version() const { return version_; }

 private:
  // What of a tensor's copy is of this share, flat, and where it begins there.
  struct OwnCopy {
    int64_t begin = 0;
    torch::Tensor copy;
  };

  torch::Tensor View(const torch::Tensor& whole, int index) const;
  int64_t InShare(plan::Extent part) const;
  // Calls visit(elements of the table, where they begin in the share) for what the share has of a tensor.
  template <typename Visit>
  void VisitOwned(int index, const Visit& visit) const;
  void RoundIntoCopies(int64_t begin, const torch::Tensor& values);

  const plan::SliceTable table_;
  plan::Share share_;
  const at::ScalarType copy_type_ = at::kFloat;
  std::vector<torch::Tensor> copies_;  // By index, where values are a share's.
  std::vector<OwnCopy> own_copies_;    // In the order of the share; empty where copies are not kept.
  torch::Tensor values_;               // Empty where they rest.
  const std::unique_ptr<RestingBytes> resting_;
  mutable torch::Tensor gradients_;  // Undefined until it is asked for.
  torch::Tensor sums_;               // Of the share, where they lie apart.
  int64_t version_ = 0;
};

}  // namespace ft::params
