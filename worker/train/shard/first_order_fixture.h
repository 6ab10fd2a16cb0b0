// The sum of a step's gradients as it was when every rank held the whole of it, for tests: the reference of order `step`.
#pragma once

#include <torch/types.h>

#include <functional>
#include <vector>

#include "worker/train/comm/comm.h"

namespace ft::shard {

// Ranks exchange once, by AllReduceSum. `micro_batch(i)` adds to `gradient`, which holds the sum afterwards.
class FirstOrder {
 public:
  FirstOrder(comm::Comm& comm, int leaves, torch::Tensor gradient)
      : comm_(comm), leaves_(leaves), own_leaves_(leaves / comm.size()), gradient_(std::move(gradient)) {
    for (int width = 1; width < own_leaves_; width *= 2) partial_.push_back(torch::empty_like(gradient_));
  }

  StatusOr<double> Run(int64_t micro_batches, const std::function<double(int64_t)>& micro_batch) {
    std::vector<double> losses;
    for (int leaf = 0; leaf < own_leaves_; ++leaf) {
      const comm::Chunk chunk =
          comm::ChunkOf(static_cast<size_t>(micro_batches), comm_.rank() * own_leaves_ + leaf, leaves_);
      gradient_.zero_();
      double loss = 0;
      for (size_t i = chunk.begin; i < chunk.end; ++i) loss += micro_batch(static_cast<int64_t>(i));
      losses.push_back(loss);
      FoldLeaf(leaf);
    }
    RETURN_IF_ERROR(comm_.AllReduceSum(gradient_));
    const double own = comm::TreeAdd(losses);
    std::vector<double> all(static_cast<size_t>(comm_.size()));
    RETURN_IF_ERROR(
        comm_.AllGather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all))));
    return comm::TreeAdd(all);
  }

 private:
  void FoldLeaf(int leaf) {
    size_t level = 0;
    for (; (leaf >> level) & 1; ++level) at::add_out(gradient_, partial_[level], gradient_);
    if (leaf + 1 < own_leaves_) partial_[level].copy_(gradient_);
  }

  comm::Comm& comm_;
  const int leaves_;
  const int own_leaves_;
  torch::Tensor gradient_;
  std::vector<torch::Tensor> partial_;
};

}  // namespace ft::shard
