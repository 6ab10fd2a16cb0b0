#include "core/plan/slices.h"

#include <algorithm>

#include "core/base/check.h"

namespace ft::plan {
namespace {

int64_t Items(int64_t elements, int64_t each) { return (elements + each - 1) / each; }

// The last place at or before `at` where a slice may begin. `tensors` are those of the unit as they lie.
int64_t CutAtOrBefore(const std::vector<TensorRange>& tensors, int64_t at) {
  const auto behind =
      std::upper_bound(tensors.begin(), tensors.end(), at,
                       [](int64_t at, const TensorRange& tensor) { return at < tensor.begin; });
  FT_CHECK(behind != tensors.begin());
  const int64_t begin = (behind - 1)->begin;
  return begin + (at - begin) / kSliceGranule * kSliceGranule;
}

std::vector<std::vector<TensorRange>> TensorsByUnit(const SliceTable& table) {
  std::vector<std::vector<TensorRange>> by_unit(static_cast<size_t>(table.units()));
  for (const TensorRange& range : table.ranges()) {
    if (range.elements > 0) by_unit[static_cast<size_t>(range.tensor.unit)].push_back(range);
  }
  for (auto& tensors : by_unit) {
    std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  }
  return by_unit;
}

void AddRun(std::vector<OwnedRun>& runs, int owner, int64_t items) {
  if (items == 0) return;
  if (!runs.empty() && runs.back().owner == owner) {
    runs.back().items += items;
  } else {
    runs.push_back({owner, items});
  }
}

}  // namespace

Slices::Slices(const SliceTable& table, int slices) : slices_(slices) {
  FT_CHECK(slices >= 1);
  const auto tensors = TensorsByUnit(table);
  for (int unit = 0; unit < table.units(); ++unit) {
    const Extent whole = table.Unit(unit);
    const int64_t elements = whole.end - whole.begin;
    std::vector<int64_t>& cuts = cuts_.emplace_back();
    for (int64_t slice = 0; slice < slices; ++slice) {
      const int64_t at = whole.begin + elements * slice / slices;
      cuts.push_back(elements == 0 ? at : CutAtOrBefore(tensors[static_cast<size_t>(unit)], at));
    }
    cuts.push_back(whole.end);
  }
}

Extent Slices::Slice(int unit, int slice) const {
  const std::vector<int64_t>& cuts = cuts_[static_cast<size_t>(unit)];
  return {cuts[static_cast<size_t>(slice)], cuts[static_cast<size_t>(slice) + 1]};
}

Extent Slices::Owned(int unit, RankOf who) const {
  FT_CHECK(slices_ % who.ranks == 0) << slices_ << " slices for " << who.ranks << " ranks";
  const int each = slices_ / who.ranks;
  return {Slice(unit, who.rank * each).begin, Slice(unit, (who.rank + 1) * each - 1).end};
}

std::vector<size_t> Slices::Counts(int unit, int ranks) const {
  std::vector<size_t> counts;
  for (int rank = 0; rank < ranks; ++rank) {
    const Extent owned = Owned(unit, {rank, ranks});
    counts.push_back(static_cast<size_t>(owned.end - owned.begin));
  }
  return counts;
}

Share Share::Whole(int64_t elements) {
  Share share;
  share.Add({0, elements});
  return share;
}

Share Share::Of(const Slices& slices, RankOf who) {
  Share share;
  for (int unit = 0; unit < slices.units(); ++unit) share.Add(slices.Owned(unit, who));
  return share;
}

void Share::Add(Extent whole) {
  if (whole.begin == whole.end) return;
  if (!parts_.empty() && parts_.back().whole.end == whole.begin) {
    parts_.back().whole.end = whole.end;
  } else {
    parts_.push_back({whole, elements_});
  }
  elements_ += whole.end - whole.begin;
}

std::vector<OwnedRun> GranuleOwners(const SliceTable& table, const Slices& slices, int ranks) {
  std::vector<OwnedRun> runs;
  for (const TensorRange& range : table.ranges()) {
    const int64_t end = range.begin + range.elements;
    for (int rank = 0; rank < ranks; ++rank) {
      const Extent owned = slices.Owned(range.tensor.unit, {rank, ranks});
      const int64_t from = std::max(owned.begin, range.begin), to = std::min(owned.end, end);
      if (from < to) AddRun(runs, rank, Items(to - from, kSliceGranule));
    }
  }
  return runs;
}

std::vector<OwnedRun> BlockOwners(const Slices& slices, int64_t block, int ranks) {
  FT_CHECK(kGranule % block == 0);
  std::vector<OwnedRun> runs;
  for (int unit = 0; unit < slices.units(); ++unit) {
    for (int rank = 0; rank < ranks; ++rank) {
      const Extent owned = slices.Owned(unit, {rank, ranks});
      AddRun(runs, rank, (owned.end - owned.begin) / block);
    }
  }
  return runs;
}

}  // namespace ft::plan
