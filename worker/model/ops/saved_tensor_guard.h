// A watch over what autograd saves for backward: while one lives, every saved tensor is compared with those
// that frozen slots have handed out. Tests turn it on to show that a frozen linear saves only its slot. Costs
// nothing while off.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ft::ops {

// At most one at a time in a process; construct before the first graph is built, on the thread that builds
// it.
class SavedTensorGuard {
 public:
  SavedTensorGuard();
  ~SavedTensorGuard();
  SavedTensorGuard(const SavedTensorGuard&) = delete;
  SavedTensorGuard& operator=(const SavedTensorGuard&) = delete;

  // Names of frozen slots whose tensors were saved, one entry a save.
  std::vector<std::string> violations() const;
  // How many tensors were saved at all: shows that the watch works.
  int64_t saved() const;

  // Called by WeightSlot for every tensor of a frozen slot.
  static void NoteMaterialised(const torch::Tensor& tensor, const std::string& slot);
};

}  // namespace ft::ops
