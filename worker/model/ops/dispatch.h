// Rows sent to the experts that were chosen for them, and what comes back added up. Sorted, gathered and added in a fixed order, so that
// results are the same bits for any number of threads, on whatever device the rows lie. Legend: N rows, K experts of a row, P = N K
// pairs of a row and an expert, sorted by expert and then by row; C channels.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/model/ops/linear.h"

namespace ft::ops {

struct Dispatch {
  std::vector<int64_t>
      pairs_of_expert;  // One an expert, 0 for one that no row goes to. In host memory: it waits for the device.
  torch::Tensor row_P;    // The row of each pair, int64.
  torch::Tensor pair_NK;  // The pair of each row's k-th expert.
};

// REQUIRES: expert_NK int64, contiguous, within [0, experts), no expert twice in a row.
Dispatch MakeDispatch(const torch::Tensor& expert_NK, int64_t experts);

// The row of each pair, P x C. A row's gradient is that of its pairs, added in the order of its experts.
torch::Tensor GatherRows(const torch::Tensor& x_NC, const Dispatch& dispatch);

// The sum over k of weight[n, k] times the row of its pair, N x C, of float32 rows. Backward reads the rows rounded to `saved_dtype`.
torch::Tensor CombineRows(const torch::Tensor& y_PC, const torch::Tensor& weight_NK, const Dispatch& dispatch,
                          at::ScalarType saved_dtype = at::kFloat);

// The dropout of each pair's row. Null of null.
std::shared_ptr<const DropoutRows> GatherDropout(const std::shared_ptr<const DropoutRows>& rows,
                                                 const Dispatch& dispatch);
// That of the pairs [first, first + count).
std::shared_ptr<const DropoutRows> DropoutOf(const std::shared_ptr<const DropoutRows>& pairs, int64_t first,
                                             int64_t count);

}  // namespace ft::ops
