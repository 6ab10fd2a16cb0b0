// How a model's trained weights lie end to end: tensors by unit, each padded to whole granules. Sizes alone; the trainer lays
// values, gradients and moments out by it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ft::plan {

// A block of the 8-bit optimizers and of the gradient norm, and four cache lines: where slices may be cut.
inline constexpr int64_t kGranule = 256;

struct TrainedTensor {
  std::string name;
  std::vector<int64_t> shape;
  int unit = 0;  // What is used together: 0 the embedding, 1.. the blocks, last the head.
  int copy_width =
      4;  // Bytes of an element as products read it: 4 is the float32 value itself, 2 is rounded.
};

// Elements [begin, end) of the whole.
struct Extent {
  int64_t begin = 0, end = 0;
};

struct TensorRange {
  TrainedTensor tensor;
  int64_t begin = 0;     // In the whole.
  int64_t elements = 0;  // Without padding.
};

// Where it lies in the whole with its padding.
Extent PaddedOf(const TensorRange& range);

class SliceTable {
 public:
  SliceTable() = default;
  // REQUIRES: names that differ.
  static SliceTable Of(std::vector<TrainedTensor> tensors);

  // Sorted by name: a tensor's index, and the order in which norm, ledger and files take tensors.
  std::span<const TensorRange> ranges() const { return ranges_; }
  // All units together, padding included.
  int64_t elements() const { return elements_; }
  // Units up to the last that trains something.
  int units() const { return static_cast<int>(units_.size()); }
  // Empty where the unit trains nothing.
  Extent Unit(int unit) const;

 private:
  std::vector<TensorRange> ranges_;
  std::vector<Extent> units_;
  int64_t elements_ = 0;
};

}  // namespace ft::plan
