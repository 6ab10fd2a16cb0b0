// How the copies of trained weights lie that products read, where ranks have the float32 values of their slices alone: those of a unit
// that have one width, end to end as the table has them, padding included.
#pragma once

#include <cstdint>
#include <vector>

#include "core/plan/slices.h"

namespace ft::plan {

// Tensors of a unit whose copies have elements of one width.
class CopyRun {
 public:
  struct Copied {
    int tensor = 0;     // Its index in the table.
    int64_t begin = 0;  // In the run, elements.
    Extent whole;       // In the table, padding included.
  };

  int width() const { return width_; }  // Bytes of an element.
  const std::vector<Copied>& tensors() const { return tensors_; }
  int64_t elements() const { return elements_; }
  // What a rank has of the run: extents of the table, in order, and none is empty.
  std::vector<Extent> Owned(const Slices& slices, RankOf who) const;
  // Elements that each rank has, by rank.
  std::vector<size_t> Counts(const Slices& slices, int ranks) const;

 private:
  friend std::vector<CopyRun> CopyRunsOf(const SliceTable& table, int unit);
  CopyRun(int unit, int width) : unit_(unit), width_(width) {}

  int unit_;
  int width_;
  std::vector<Copied> tensors_;
  int64_t elements_ = 0;
};

// By width; those without tensors are left out.
std::vector<CopyRun> CopyRunsOf(const SliceTable& table, int unit);

// Whether products read anything in another width than float32's.
bool HasNarrowCopies(const SliceTable& table);

// Bytes of all copies of a unit, and of all units.
int64_t CopyBytes(const SliceTable& table, int unit);
int64_t CopyBytes(const SliceTable& table);
// Those of other ranks among them.
int64_t CopyBytesOfOthers(const SliceTable& table, const Slices& slices, int unit, RankOf who);

// Where bytes that are only brought together may be cut: what views of any type and vector instructions ask for.
inline constexpr int64_t kByteGranule = 64;
// A rank's bytes of `bytes`, which the slices cut as evenly as granules allow.
Extent OwnedBytes(int64_t bytes, int slices, RankOf who);

}  // namespace ft::plan
