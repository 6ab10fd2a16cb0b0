// The arrays of an optimizer's state, wherever they rest: with the weights, or on a tier, whose tiles come and go. Whoever updates, saves or
// loads them need not know.
#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/base/status.h"
#include "core/plan/state_tiles.h"
#include "worker/train/offload/tier.h"

namespace ft::offload {

// Neighbouring weights of a share, and their items.
struct StatePart {
  struct Items {
    int64_t begin = 0;     // In the array.
    torch::Tensor values;  // Where the weights are. What is changed here is the state.
  };
  plan::Extent weights;      // In the share.
  std::vector<Items> items;  // By array.
};

// Lives on the training thread.
class StateArrays {
 public:
  virtual ~StateArrays() = default;
  // Calls `update` for all weights of the share, one part after the other in their order.
  virtual Status Visit(const std::function<void(const StatePart& part)>& update) = 0;
  // Items of an array, where the weights are. May be a view: whoever keeps them copies.
  virtual StatusOr<torch::Tensor> Read(size_t array, plan::Extent items) = 0;
  // `items`, flat, on any device, from item `begin` on.
  virtual Status Write(size_t array, int64_t begin, const torch::Tensor& items) = 0;
  // Of the arrays where the weights are.
  virtual int64_t resident_bytes() const = 0;
  // On a tier.
  virtual plan::TierBytes tier_bytes() const = 0;
};

// Zeros on `device`, of a share that has `layouts[i].items()` of the i-th array and `weights` weights.
struct ArraysShape {
  std::span<const plan::StateArray> arrays;
  std::vector<int64_t> items;
  int64_t weights = 0;
  at::Device device = at::kCPU;
};
std::unique_ptr<StateArrays> ResidentArrays(const ArraysShape& shape);
// REQUIRES: tiles of the same share and arrays.
std::unique_ptr<StateArrays> ArraysOnTier(const ArraysShape& shape, std::unique_ptr<Tier> tier);

at::ScalarType ScalarTypeOf(plan::StateType type);

}  // namespace ft::offload
