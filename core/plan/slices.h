// How what is trained is cut for those who own it: each unit of a SliceTable in P slices, P a property of the job (max_ranks) and never of
// the ranks that run. Rank r of N owns slices rP/N to (r+1)P/N of every unit, so another N changes owners and no cut. Sizes alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/plan/slice_table.h"

namespace ft::plan {

// Within a tensor slices begin at multiples of it: a leaf of the ledger's digests, and so whole blocks of the norm.
inline constexpr int64_t kSliceGranule = 1024;

// One rank among those that run.
struct RankOf {
  int rank = 0;
  int ranks = 1;
};

class Slices {
 public:
  // REQUIRES: slices >= 1.
  Slices(const SliceTable& table, int slices);

  int units() const { return static_cast<int>(cuts_.size()); }
  int slices() const { return slices_; }
  // The slices of a unit tile it. Those of a small one may be empty.
  Extent Slice(int unit, int slice) const;
  // REQUIRES: ranks divides slices().
  Extent Owned(int unit, RankOf who) const;
  // Elements that each rank owns of a unit, by rank.
  std::vector<size_t> Counts(int unit, int ranks) const;

 private:
  const int slices_;
  std::vector<std::vector<int64_t>> cuts_;  // Of each unit: slices + 1 ends.
};

// The elements that one rank owns, end to end.
class Share {
 public:
  // Elements [whole.begin, whole.end) of the table, which begin at `begin` of the share.
  struct Part {
    Extent whole;
    int64_t begin = 0;
  };

  // All of them.
  static Share Whole(int64_t elements);
  static Share Of(const Slices& slices, RankOf who);

  // In rising order; none is empty, and neighbours are one part.
  std::span<const Part> parts() const { return parts_; }
  int64_t elements() const { return elements_; }

 private:
  void Add(Extent whole);

  std::vector<Part> parts_;
  int64_t elements_ = 0;
};

// Consecutive items of a list that one rank owns.
struct OwnedRun {
  int owner = 0;
  int64_t items = 0;
};

// Who owns the granules of every tensor, tensors by index; the last granule of a tensor may be short. Padding has no granule.
std::vector<OwnedRun> GranuleOwners(const SliceTable& table, const Slices& slices, int ranks);

// Who owns the blocks of `block` elements of the whole, padding included. REQUIRES: kGranule a multiple of block.
std::vector<OwnedRun> BlockOwners(const Slices& slices, int64_t block, int ranks);

}  // namespace ft::plan
