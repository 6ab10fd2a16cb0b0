#include "core/plan/slice_table.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace ft::plan {
namespace {

int64_t Padded(int64_t elements) { return (elements + kGranule - 1) / kGranule * kGranule; }

}  // namespace

Extent PaddedOf(const TensorRange& range) { return {range.begin, range.begin + Padded(range.elements)}; }

SliceTable SliceTable::Of(std::vector<TrainedTensor> tensors) {
  SliceTable table;
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (TrainedTensor& tensor : tensors) {
    const int64_t elements =
        std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
    table.ranges_.push_back({std::move(tensor), 0, elements});
  }
  std::vector<TensorRange*> by_unit;
  for (TensorRange& range : table.ranges_) by_unit.push_back(&range);
  std::stable_sort(by_unit.begin(), by_unit.end(), [](const TensorRange* a, const TensorRange* b) {
    return a->tensor.unit < b->tensor.unit;
  });
  for (TensorRange* range : by_unit) {
    table.units_.resize(static_cast<size_t>(range->tensor.unit) + 1, {table.elements_, table.elements_});
    range->begin = table.elements_;
    table.elements_ += Padded(range->elements);
    table.units_.back().end = table.elements_;
  }
  return table;
}

Extent SliceTable::Unit(int unit) const {
  return static_cast<size_t>(unit) < units_.size() ? units_[static_cast<size_t>(unit)]
                                                   : Extent{elements_, elements_};
}

}  // namespace ft::plan
