// The one owner of what is trained: float32 values, gradients and the optimizer's moments, each end to end in the order of a
// plan::SliceTable. Everything else refers to a tensor by its index in the table, which is its rank by name.
#pragma once

#include <torch/torch.h>

#include <string>

#include "core/plan/slice_table.h"

namespace ft::params {

// Lives on the training thread; slots refer to it and die before it.
class ParameterStore {
 public:
  // Values and gradients are zeros.
  explicit ParameterStore(plan::SliceTable table, at::Device device = at::kCPU);
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  const plan::SliceTable& table() const { return table_; }
  at::Device device() const { return values_.device(); }
  int size() const { return static_cast<int>(table_.ranges().size()); }
  const std::string& name(int index) const { return range(index).tensor.name; }
  // The index of a name, -1 where nothing of that name is trained.
  int Find(std::string_view name) const;

  // Views of the tensor's shape. Whoever changes a value calls ValuesChanged() afterwards.
  torch::Tensor value(int index) const { return View(values_, index); }
  torch::Tensor gradient(int index) const { return View(gradients_, index); }
  torch::Tensor first_moment(int index) const { return View(first_moments_, index); }
  torch::Tensor second_moment(int index) const { return View(second_moments_, index); }

  // All of them end to end, [elements of the table], padding (zeros) included.
  const torch::Tensor& values() const { return values_; }
  const torch::Tensor& gradients() const { return gradients_; }
  const torch::Tensor& first_moments() const { return first_moments_; }
  const torch::Tensor& second_moments() const { return second_moments_; }

  // Moments of zeros; undefined before, since inference has no use for them.
  void MakeMoments();
  void ZeroGradients();
  void AddGradient(int index, const torch::Tensor& gradient);

  // Forgets what slots have copied of the values into another type.
  void ValuesChanged() { ++version_; }
  int64_t version() const { return version_; }

 private:
  const plan::TensorRange& range(int index) const { return table_.ranges()[static_cast<size_t>(index)]; }
  torch::Tensor View(const torch::Tensor& whole, int index) const;

  const plan::SliceTable table_;
  torch::Tensor values_, gradients_, first_moments_, second_moments_;
  int64_t version_ = 0;
};

}  // namespace ft::params
