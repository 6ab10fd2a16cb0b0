#include "core/plan/unit_copies.h"

#include <algorithm>

#include "core/base/check.h"

namespace ft::plan {

std::vector<CopyRun> CopyRunsOf(const SliceTable& table, int unit) {
  std::vector<CopyRun> runs;
  for (const int width : {2, 4}) {
    CopyRun run(unit, width);
    for (size_t i = 0; i < table.ranges().size(); ++i) {
      const TensorRange& range = table.ranges()[i];
      if (range.tensor.unit != unit || range.tensor.copy_width != width) continue;
      const Extent padded = PaddedOf(range);
      run.tensors_.push_back({static_cast<int>(i), run.elements_, padded});
      run.elements_ += padded.end - padded.begin;
    }
    if (!run.tensors_.empty()) runs.push_back(std::move(run));
  }
  return runs;
}

std::vector<Extent> CopyRun::Owned(const Slices& slices, RankOf who) const {
  const Extent owned = slices.Owned(unit_, who);
  std::vector<Extent> parts;
  for (const Copied& copied : tensors_) {
    const Extent part = {std::max(owned.begin, copied.whole.begin), std::min(owned.end, copied.whole.end)};
    if (part.begin < part.end) parts.push_back(part);
  }
  return parts;
}

std::vector<size_t> CopyRun::Counts(const Slices& slices, int ranks) const {
  std::vector<size_t> counts;
  for (int rank = 0; rank < ranks; ++rank) {
    size_t& count = counts.emplace_back(0);
    for (const Extent& part : Owned(slices, {rank, ranks}))
      count += static_cast<size_t>(part.end - part.begin);
  }
  return counts;
}

bool HasNarrowCopies(const SliceTable& table) {
  return std::any_of(table.ranges().begin(), table.ranges().end(),
                     [](const TensorRange& range) { return range.tensor.copy_width < 4; });
}

int64_t CopyBytes(const SliceTable& table, int unit) {
  int64_t bytes = 0;
  for (const CopyRun& run : CopyRunsOf(table, unit)) bytes += run.elements() * run.width();
  return bytes;
}

int64_t CopyBytes(const SliceTable& table) {
  int64_t bytes = 0;
  for (int unit = 0; unit < table.units(); ++unit) bytes += CopyBytes(table, unit);
  return bytes;
}

int64_t CopyBytesOfOthers(const SliceTable& table, const Slices& slices, int unit, RankOf who) {
  int64_t bytes = 0;
  for (const CopyRun& run : CopyRunsOf(table, unit)) {
    const auto own = static_cast<int64_t>(run.Counts(slices, who.ranks)[static_cast<size_t>(who.rank)]);
    bytes += (run.elements() - own) * run.width();
  }
  return bytes;
}

Extent OwnedBytes(int64_t bytes, int slices, RankOf who) {
  FT_CHECK(slices % who.ranks == 0) << slices << " slices for " << who.ranks << " ranks";
  const int64_t each = slices / who.ranks;
  const auto cut = [&](int64_t slice) {
    return slice == slices ? bytes : bytes * slice / slices / kByteGranule * kByteGranule;
  };
  return {cut(who.rank * each), cut((who.rank + 1) * each)};
}

}  // namespace ft::plan
