// The gradient of a step, summed over its micro-batches with one order of additions whatever the number of ranks.
// Micro-batches are divided evenly over 2^a leaves; a leaf adds its own one after another; leaves are
// added in a fixed binary tree. Each rank holds a run of neighbouring leaves, so it adds a whole subtree by
// itself, and the ranks exchange once a step. With one leaf the sum is a plain running one. (Demmel and
// Nguyen, "Parallel Reproducible Summation", IEEE ToC 2015, discuss the choice; a fixed tree is its simplest
// form.)
//
// Memory: the buffer and, for log2(leaves of this rank) levels, one partial sum of its size. Lives on the
// training thread.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <span>
#include <vector>

#include "core/base/status.h"
#include "worker/train/comm/comm.h"

namespace ft::shard {

class GradientReducer {
 public:
  // `gradient` is flat fp32: what micro-batches add into. `comm` outlives this. REQUIRES: `leaves` a power of two, a
  // multiple of the ranks.
  GradientReducer(comm::Comm& comm, int leaves, torch::Tensor gradient);

  // Sums micro-batches 0..micro_batches-1. `micro_batch(i)` adds the gradient of micro-batch i into the buffer and returns
  // its loss; it is called for this rank's only, in rising order. Afterwards the buffer holds the step's sum, and
  // the answer is the sum of the losses: the same bits on all ranks. Errors are the communicator's.
  StatusOr<double> Run(int64_t micro_batches, const std::function<double(int64_t micro_batch)>& micro_batch);

  // item(i) for every i of 0..items-1, each computed by one rank and known to all.
  StatusOr<std::vector<double>> DistributedMap(int64_t items,
                                               const std::function<double(int64_t item)>& item);

  // OK when all ranks hold the same numbers, bit for bit; DATA_LOSS names the rank that differs. Before a step is
  // taken: ranks that disagree would go apart for good.
  Status CheckRanksAgree(std::span<const double> numbers);

 private:
  // Adds the buffer, the sum of leaf `leaf` of this rank, to the partial sums; the last leaf leaves the total
  // in it.
  void FoldLeaf(int leaf);

  comm::Comm& comm_;
  const int leaves_;      // Leaves of the step.
  const int own_leaves_;  // Leaves of this rank: neighbours.
  torch::Tensor gradient_;
  std::vector<torch::Tensor>
      partial_;  // partial_[l]: the sum of 2^l leaves that waits for its right neighbour.
};

}  // namespace ft::shard
