// The loss of routers: it grows when few experts get most rows (Experts::Balance). A pass records what its routers did; their loss is
// known after the last layer, and its gradient is added where the way back comes to each router.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "worker/model/decoder/config.h"
#include "worker/model/ops/attention.h"

namespace ft::model {

// Of one pass; lives on its thread. Legend: N rows, E experts, K chosen of each row.
class RouterBalance {
 public:
  // REQUIRES: experts.balance is not kNone.
  RouterBalance(const Experts& experts, int64_t layers, const std::vector<ops::AttentionSegment>& samples);

  // The softmax of a layer's router and its choice. A second time, for the same rows, changes nothing.
  void Record(int64_t layer, const torch::Tensor& probability_NE, const torch::Tensor& expert_NK);
  // The loss of what was recorded, weighted; Gradient() is `factor` times its gradient from now on.
  double Finish(double factor);
  // The gradient with respect to the probabilities of a layer, float32, N x E or 1 x E for all rows, on `device`.
  torch::Tensor Gradient(int64_t layer, at::Device device) const;

 private:
  // Sums over the rows of each group, by group and then expert.
  struct Use {
    std::vector<double> pairs, probability;
  };
  // Of one layer: the loss, and its gradient in `slope` by group and expert.
  double LayerLoss(const Use& use, std::vector<double>& slope) const;

  const Experts experts_;
  std::vector<int64_t> rows_;   // Of each group: all rows are one, or each sample's.
  std::vector<int64_t> first_;  // The first row of each.
  std::vector<Use> uses_;       // One a layer; empty where nothing was recorded.
  std::vector<torch::Tensor>
      gradients_;  // One a layer, in host memory; undefined where nothing was recorded.
};

}  // namespace ft::model
