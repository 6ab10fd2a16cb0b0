#include "worker/train/shard/slice_exchange.h"

#include <algorithm>

namespace ft::shard {

SliceExchange::SliceExchange(comm::Comm& comm, const plan::SliceTable& table, int slices)
    : comm_(comm), table_(table), slices_(table, slices) {
  int64_t begin = 0;
  for (int unit = 0; unit < slices_.units(); ++unit) {
    Part& part = units_.emplace_back(Part{.unit = table.Unit(unit),
                                          .owned = slices_.Owned(unit, who()),
                                          .begin = begin,
                                          .counts = slices_.Counts(unit, comm.size())});
    begin += part.elements();
  }
}

Status SliceExchange::ScatterSum(const Part& unit, const torch::Tensor& values, int contributors,
                                 const torch::Tensor& own) {
  return comm_.ReduceScatterSum(values, unit.counts, contributors, own);
}

Status SliceExchange::Gather(const torch::Tensor& whole) {
  for (const Part& unit : units_) {
    const torch::Tensor own = whole.narrow(0, unit.owned.begin, unit.elements());
    const torch::Tensor all = whole.narrow(0, unit.unit.begin, unit.unit.end - unit.unit.begin);
    RETURN_IF_ERROR(comm_.AllGather(own, unit.counts, all));
  }
  return absl::OkStatus();
}

plan::Extent SliceExchange::Overlap(int index, int rank) const {
  const plan::TensorRange& range = table_.ranges()[static_cast<size_t>(index)];
  const plan::Extent owned = slices_.Owned(range.tensor.unit, {rank, comm_.size()});
  const auto within = [&](int64_t at) { return std::clamp(at - range.begin, int64_t{0}, range.elements); };
  return {within(owned.begin), within(owned.end)};
}

int64_t SliceExchange::InShare(int index) const {
  const plan::TensorRange& range = table_.ranges()[static_cast<size_t>(index)];
  const plan::Extent overlap = OwnedOf(index);
  const Part& unit = units_[static_cast<size_t>(range.tensor.unit)];
  return overlap.begin == overlap.end ? unit.begin
                                      : unit.begin + range.begin + overlap.begin - unit.owned.begin;
}

StatusOr<torch::Tensor> SliceExchange::GatherTensor(const torch::Tensor& own, int index,
                                                    int64_t weights_per_item) {
  std::vector<size_t> counts;
  int64_t all = 0;
  for (int rank = 0; rank < comm_.size(); ++rank) {
    const plan::Extent overlap = Overlap(index, rank);
    const int64_t items = (overlap.end - overlap.begin + weights_per_item - 1) / weights_per_item;
    counts.push_back(static_cast<size_t>(items));
    all += items;
  }
  const torch::Tensor whole = torch::empty({all}, own.options());
  RETURN_IF_ERROR(comm_.AllGather(own, counts, whole));
  return whole;
}

StatusOr<std::vector<std::byte>> SliceExchange::GatherItems(const std::vector<plan::OwnedRun>& owners,
                                                            size_t width, std::span<const std::byte> own) {
  std::vector<size_t> counts(static_cast<size_t>(comm_.size()));
  size_t total = 0;
  for (const plan::OwnedRun& run : owners) {
    counts[static_cast<size_t>(run.owner)] += static_cast<size_t>(run.items) * width;
    total += static_cast<size_t>(run.items) * width;
  }
  std::vector<std::byte> by_rank(total), in_order;
  RETURN_IF_ERROR(comm_.AllGather(own, counts, by_rank));
  std::vector<size_t> next(counts.size());  // Of each rank's bytes, the first that is not taken yet.
  for (size_t rank = 1; rank < next.size(); ++rank) next[rank] = next[rank - 1] + counts[rank - 1];
  in_order.reserve(total);
  for (const plan::OwnedRun& run : owners) {
    size_t& at = next[static_cast<size_t>(run.owner)];
    const auto from = by_rank.begin() + static_cast<ptrdiff_t>(at);
    at += static_cast<size_t>(run.items) * width;
    in_order.insert(in_order.end(), from, by_rank.begin() + static_cast<ptrdiff_t>(at));
  }
  return in_order;
}

}  // namespace ft::shard
