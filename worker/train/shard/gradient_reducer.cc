#include "worker/train/shard/gradient_reducer.h"

#include <bit>
#include <cstring>

#include "core/base/check.h"
#include "worker/train/comm/tensors.h"

namespace ft::shard {

GradientReducer::GradientReducer(comm::Comm& comm, int leaves, torch::Tensor gradient)
    : comm_(comm), leaves_(leaves), own_leaves_(leaves / comm.size()), gradient_(std::move(gradient)) {
  FT_CHECK(std::has_single_bit(static_cast<unsigned>(leaves)) && leaves % comm.size() == 0)
      << leaves << " leaves for " << comm.size() << " ranks";
  FT_CHECK(gradient_.is_contiguous() && gradient_.scalar_type() == torch::kFloat)
      << "the gradient must be flat fp32";
  for (int width = 1; width < own_leaves_; width *= 2) partial_.push_back(torch::empty_like(gradient_));
}

void GradientReducer::FoldLeaf(int leaf) {
  size_t level = 0;
  // The ones at the end of the leaf's number are the sums that wait for this one, as in counting.
  for (; (leaf >> level) & 1; ++level) at::add_out(gradient_, partial_[level], gradient_);
  if (leaf + 1 < own_leaves_) partial_[level].copy_(gradient_);
}

StatusOr<double> GradientReducer::Run(int64_t micro_batches,
                                      const std::function<double(int64_t)>& micro_batch) {
  std::vector<double> losses;
  for (int leaf = 0; leaf < own_leaves_; ++leaf) {
    const comm::Chunk chunk =
        comm::ChunkOf(static_cast<size_t>(micro_batches), comm_.rank() * own_leaves_ + leaf, leaves_);
    gradient_.zero_();
    double loss = 0;
    for (size_t i = chunk.begin; i < chunk.end; ++i) loss += micro_batch(static_cast<int64_t>(i));
    losses.push_back(loss);
    FoldLeaf(leaf);
  }
  RETURN_IF_ERROR(comm::AllReduceSum(comm_, gradient_));
  const double own = comm::TreeAdd(losses);
  std::vector<double> all(static_cast<size_t>(comm_.size()));
  RETURN_IF_ERROR(comm_.AllGather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all))));
  return comm::TreeAdd(all);
}

StatusOr<std::vector<double>> GradientReducer::DistributedMap(int64_t items,
                                                              const std::function<double(int64_t)>& item) {
  const auto ranks = static_cast<int64_t>(comm_.size());
  const auto turns = static_cast<size_t>((items + ranks - 1) / ranks);
  std::vector<double> own(turns), all(turns * static_cast<size_t>(ranks)), by_item;
  for (size_t turn = 0; turn < turns; ++turn) {
    const int64_t i = static_cast<int64_t>(turn) * ranks + comm_.rank();
    if (i < items) own[turn] = item(i);
  }
  RETURN_IF_ERROR(comm_.AllGather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all))));
  for (int64_t i = 0; i < items; ++i)
    by_item.push_back(all[static_cast<size_t>(i % ranks) * turns + static_cast<size_t>(i / ranks)]);
  return by_item;
}

Status GradientReducer::CheckRanksAgree(std::span<const double> numbers) {
  std::vector<double> all(numbers.size() * static_cast<size_t>(comm_.size()));
  RETURN_IF_ERROR(comm_.AllGather(std::as_bytes(numbers), std::as_writable_bytes(std::span(all))));
  for (int rank = 0; rank < comm_.size(); ++rank) {
    const double* theirs = all.data() + static_cast<size_t>(rank) * numbers.size();
    if (std::memcmp(theirs, numbers.data(), numbers.size_bytes()) == 0) continue;
    return absl::DataLossError(StrCat("rank ", rank, " has other sums than rank ", comm_.rank(),
                                      ": its hardware or libraries give other numbers"));
  }
  return absl::OkStatus();
}

}  // namespace ft::shard
