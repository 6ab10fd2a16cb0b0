// What is computed of long flat vectors of parameters, wherever they lie: sums of squares for a norm, digests for the ledger, sums of
// what several ranks have.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace ft::ops {

// Values that one sum is taken of.
inline constexpr int64_t kSquaresBlock = 256;

// float32, one sum of squares for each block of values, the last may be short, where the values lie; in the order of
// kernels/squares/squares.h. REQUIRES: float32, contiguous.
torch::Tensor SumsOfSquares(const torch::Tensor& values_N);

// sum_N = rows_KN[0] + rows_KN[1] + ... in the order of kernels/tree_add/tree_add.h; `sum_N` may be one of the rows. REQUIRES: float32,
// contiguous, at most 256 rows.
void TreeAdd(const torch::Tensor& rows_KN, const torch::Tensor& sum_N);

// Pieces of a vector that digests are taken of: [begin, begin + count) in values, each at most 1,024 of them (4 KiB).
class Leaves {
 public:
  Leaves(const std::vector<std::pair<int64_t, int64_t>>& begins_and_counts, at::Device device);
  int64_t size() const { return table_.size(0); }

  // SHA-256 of each leaf of the values, uint8 [leaves, 32], where they lie. REQUIRES: float32, contiguous, on the leaves' device.
  torch::Tensor Digests(const torch::Tensor& values_N) const;

 private:
  torch::Tensor table_;  // int64 [leaves, 2]: kernels::Leaf.
};

// Of a leaf.
inline constexpr int64_t kLeafValues = 1024;

}  // namespace ft::ops
