// Micro-batches are divided evenly over 2^a leaves; a leaf adds its own one after another; leaves are
// added in a fixed binary tree. Each rank holds a run of neighbouring leaves, so it adds a whole subtree by
// itself, and the ranks exchange once a step. With one leaf the sum is a plain running one. (Demmel and
// Nguyen, "Parallel Reproducible Summation", IEEE ToC 2015, discuss the choice; a fixed tree is its simplest
// form.)
//
// Memory: the whole gradient and, for log2(leaves of this rank) levels, one partial sum of its size.
#pragma once

#include <torch/types.h>

#include <vector>

#include "worker/model/params/parameter_store.h"
#include "worker/train/shard/gradient_sum.h"
#include "worker/train/shard/slice_exchange.h"

namespace ft::shard {

class LeafSum final : public GradientSum {
 public:
  // There are as many leaves as slices. With `sliced` each rank ends with the sum of its slices, else all with all of it.
  // All outlive this.
  LeafSum(comm::Comm& comm, SliceExchange& exchange, params::ParameterStore& store, bool sliced);

  StatusOr<double> Run(int64_t micro_batches, const MicroBatchFunction& micro_batch,
                       const EmptyPassFunction& empty_pass) override;

 private:
  // Adds the gradient, the sum of leaf `leaf` of this rank, to the partial sums; the last leaf leaves the total
  // in it.
  void FoldLeaf(int leaf);
  // The sum over the ranks.
  Status Exchange();

  comm::Comm& comm_;
  SliceExchange& exchange_;
  params::ParameterStore& store_;
  const bool sliced_;
  const int leaves_;      // Leaves of the step.
  const int own_leaves_;  // Leaves of this rank: neighbours.
  torch::Tensor gradient_;
  std::vector<torch::Tensor>
      partial_;  // partial_[l]: the sum of 2^l leaves that waits for its right neighbour.
};

}  // namespace ft::shard
