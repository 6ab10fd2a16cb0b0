// Between what a rank owns of what is trained and the whole: slices of sums go to their owners, what owners have comes back.
#pragma once

#include <torch/types.h>

#include <cstddef>
#include <span>
#include <vector>

#include "core/base/status.h"
#include "core/plan/slices.h"
#include "worker/train/comm/comm.h"

namespace ft::shard {

// Every operation is collective. Errors are the communicator's. Lives on the training thread.
class SliceExchange {
 public:
  // A unit and what this rank owns of it.
  struct Part {
    plan::Extent unit;           // In the whole.
    plan::Extent owned;          // In the whole.
    int64_t begin = 0;           // Of what is owned, in this rank's share.
    std::vector<size_t> counts;  // Elements that each rank owns.
    int64_t elements() const { return owned.end - owned.begin; }
  };

  // `comm` and `table` outlive this. REQUIRES: the ranks divide `slices`.
  SliceExchange(comm::Comm& comm, const plan::SliceTable& table, int slices);

  const plan::Slices& slices() const { return slices_; }
  plan::RankOf who() const { return {comm_.rank(), comm_.size()}; }
  const std::vector<Part>& units() const { return units_; }
  plan::Share share() const { return plan::Share::Of(slices_, who()); }

  // Elements of tensor `index` that this rank owns, counted from the tensor's first, and where they begin in its share.
  plan::Extent OwnedOf(int index) const { return Overlap(index, comm_.rank()); }
  int64_t InShare(int index) const;

  // own = this rank's slices of the sum of `values`, [elements of the unit], over the first `contributors` ranks.
  Status ScatterSum(const Part& unit, const torch::Tensor& values, int contributors,
                    const torch::Tensor& own);
  // Every rank's slices of `whole`, [elements of the table], where each has its own in place.
  Status Gather(const torch::Tensor& whole);
  // The items of tensor `index` of the table, one for so many weights, of which `own` are this rank's.
  StatusOr<torch::Tensor> GatherTensor(const torch::Tensor& own, int index, int64_t weights_per_item);
  // `width` bytes of each item of the list, in its order; `own` are those of this rank's items, in the same order.
  StatusOr<std::vector<std::byte>> GatherItems(const std::vector<plan::OwnedRun>& owners, size_t width,
                                               std::span<const std::byte> own);

 private:
  plan::Extent Overlap(int index, int rank) const;

  comm::Comm& comm_;
  const plan::SliceTable& table_;
  const plan::Slices slices_;
  std::vector<Part> units_;
};

}  // namespace ft::shard
