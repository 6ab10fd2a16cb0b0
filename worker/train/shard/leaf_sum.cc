#include "worker/train/shard/leaf_sum.h"

#include <algorithm>

namespace ft::shard {

LeafSum::LeafSum(comm::Comm& comm, SliceExchange& exchange, params::ParameterStore& store, bool sliced)
    : comm_(comm),
      exchange_(exchange),
      store_(store),
      sliced_(sliced),
      leaves_(exchange.slices().slices()),
      own_leaves_(leaves_ / comm.size()),
      gradient_(store.gradients()) {
  for (int width = 1; width < own_leaves_; width *= 2) partial_.push_back(torch::empty_like(gradient_));
}

void LeafSum::FoldLeaf(int leaf) {
  size_t level = 0;
  // The ones at the end of the leaf's number are the sums that wait for this one, as in counting.
  for (; (leaf >> level) & 1; ++level) at::add_out(gradient_, partial_[level], gradient_);
  if (leaf + 1 < own_leaves_) partial_[level].copy_(gradient_);
}

StatusOr<double> LeafSum::Run(int64_t micro_batches, const MicroBatchFunction& micro_batch,
                              const EmptyPassFunction& empty_pass) {
  std::vector<double> losses;
  for (int leaf = 0; leaf < own_leaves_; ++leaf) {
    const auto chunk_of = [&](int rank) {
      return comm::ChunkOf(static_cast<size_t>(micro_batches), rank * own_leaves_ + leaf, leaves_);
    };
    const comm::Chunk chunk = chunk_of(comm_.rank());
    size_t passes = 0;  // Of the rank that has most.
    for (int rank = 0; rank < comm_.size(); ++rank) passes = std::max(passes, chunk_of(rank).size());
    gradient_.zero_();
    double loss = 0;
    for (size_t i = chunk.begin; i < chunk.end; ++i) loss += micro_batch(static_cast<int64_t>(i), store_);
    for (size_t i = chunk.size(); i < passes; ++i) empty_pass(store_);
    losses.push_back(loss);
    FoldLeaf(leaf);
  }
  RETURN_IF_ERROR(Exchange());
  const double own = comm::TreeAdd(losses);
  std::vector<double> all(static_cast<size_t>(comm_.size()));
  RETURN_IF_ERROR(comm_.AllGather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all))));
  return comm::TreeAdd(all);
}

Status LeafSum::Exchange() {
  if (!sliced_) return comm_.AllReduceSum(gradient_);
  const torch::Tensor sums = store_.gradient_sums();
  for (const SliceExchange::Part& unit : exchange_.units()) {
    const torch::Tensor own = torch::empty({unit.elements()}, gradient_.options());
    RETURN_IF_ERROR(exchange_.ScatterSum(
        unit, gradient_.narrow(0, unit.unit.begin, unit.unit.end - unit.unit.begin), comm_.size(), own));
    // At the front of the whole, where units before this one were: they are needed no more.
    sums.narrow(0, unit.begin, unit.elements()).copy_(own);
  }
  return absl::OkStatus();
}

}  // namespace ft::shard
