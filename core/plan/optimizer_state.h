// What an optimizer keeps beside what is trained: arrays with an item a weight, or one for a block of weights. Plan, trainer and checkpoints
// take it from here, so none of them knows the kinds of optimizers. Sizes alone.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "core/plan/slices.h"

namespace ft::plan {

enum class StateType : uint8_t { kFloat32, kUint8 };

constexpr int64_t BytesOf(StateType type) { return type == StateType::kFloat32 ? 4 : 1; }

struct StateArray {
  std::string_view name;  // What checkpoints write behind the tensor's: ".exp_avg".
  StateType type = StateType::kFloat32;
  int64_t weights_per_item = 1;  // 1 or kGranule.
  // It is kept of tensors with so many weights.
  int64_t least = 0, most = std::numeric_limits<int64_t>::max();

  bool IsOf(int64_t elements) const { return least <= elements && elements <= most; }
  // Of neighbouring weights of a tensor that begin at an item.
  int64_t Items(int64_t elements) const { return (elements + weights_per_item - 1) / weights_per_item; }
};

// Of train.optimizer.kind, in the order that checkpoints have them in. Names differ among the arrays of one tensor.
std::span<const StateArray> StateArraysOf(std::string_view kind);

// Bytes for each trained weight, of tensors that are not small.
double StateBytesPerWeight(std::string_view kind);

// The items that whoever owns a share has of an array: those of each tensor end to end, in the order of the share. Padding has items too, so
// that neighbouring tensors of which the array is kept are neighbours there.
class ArrayLayout {
 public:
  struct Items {
    int64_t begin = 0;
    int64_t count = 0;
    Extent weights;  // Whose they are, in the whole, padding included.
  };

  static ArrayLayout Of(const SliceTable& table, const Share& share, const StateArray& array);

  // By the tensor's index; none where the share has nothing of it, or the array is not kept of it.
  const Items& OfTensor(int index) const { return by_tensor_[static_cast<size_t>(index)]; }
  int64_t items() const { return items_; }

 private:
  std::vector<Items> by_tensor_;
  int64_t items_ = 0;
};

}  // namespace ft::plan
