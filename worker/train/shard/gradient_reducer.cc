#include "worker/train/shard/gradient_reducer.h"

#include <bit>
#include <cstring>

#include "core/base/check.h"
#include "worker/train/shard/leaf_sum.h"
#include "worker/train/shard/round_sum.h"
#include "worker/train/shard/unit_exchange.h"

namespace ft::shard {

GradientReducer::GradientReducer(comm::Comm& comm, const recipe::Sharding& sharding, SliceExchange& exchange,
                                 params::ParameterStore& store)
    : comm_(comm) {
  FT_CHECK(std::has_single_bit(static_cast<unsigned>(sharding.slices)) && sharding.slices % comm.size() == 0)
      << sharding.slices << " slices for " << comm.size() << " ranks";
  if (sharding.order == recipe::SumOrder::kMicroBatch) {
    sum_ = std::make_unique<RoundSum>(comm, exchange, store, sharding.states_sliced);
  } else {
    sum_ = std::make_unique<LeafSum>(comm, exchange, store, sharding.states_sliced);
  }
}

StatusOr<double> GradientReducer::Run(int64_t micro_batches, const MicroBatchFunction& micro_batch,
                                      const EmptyPassFunction& empty_pass) {
  StatusOr<double> loss = 0.0;
  RETURN_IF_ERROR(CatchUnavailable([&] {
    loss = sum_->Run(micro_batches, micro_batch, empty_pass);
    return loss.status();
  }));
  return loss;
}

StatusOr<std::vector<double>> GradientReducer::DistributedMap(int64_t items,
                                                              const std::function<double(int64_t)>& item,
                                                              const std::function<void()>& idle) {
  const auto ranks = static_cast<int64_t>(comm_.size());
  const auto turns = static_cast<size_t>((items + ranks - 1) / ranks);
  std::vector<double> own(turns), all(turns * static_cast<size_t>(ranks)), by_item;
  RETURN_IF_ERROR(CatchUnavailable([&] {
    for (size_t turn = 0; turn < turns; ++turn) {
      const int64_t i = static_cast<int64_t>(turn) * ranks + comm_.rank();
      i < items ? void(own[turn] = item(i)) : idle();
    }
    return absl::OkStatus();
  }));
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
