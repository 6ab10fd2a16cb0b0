// How the work of a step is divided among ranks, and what they compute is brought together: gradients in the job's order of additions,
// whatever the number of ranks and wherever the sums end.
//
// Lives on the training thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/sharding.h"
#include "worker/model/params/parameter_store.h"
#include "worker/train/comm/comm.h"
#include "worker/train/shard/gradient_sum.h"
#include "worker/train/shard/slice_exchange.h"

namespace ft::shard {

class GradientReducer {
 public:
  // All outlive this. REQUIRES: sharding.slices a power of two, a multiple of the ranks.
  GradientReducer(comm::Comm& comm, const recipe::Sharding& sharding, SliceExchange& exchange,
                  params::ParameterStore& store);

  // GradientSum::Run, in the job's order. What cannot be brought together in a pass is an error too.
  StatusOr<double> Run(
      int64_t micro_batches, const MicroBatchFunction& micro_batch,
      const EmptyPassFunction& empty_pass = [](params::GradientSink&) {});

  // item(i) for every i of 0..items-1, each computed by one rank and known to all; `idle` where the others compute one and this rank none.
  StatusOr<std::vector<double>> DistributedMap(
      int64_t items, const std::function<double(int64_t item)>& item,
      const std::function<void()>& idle = [] {});

  // OK when all ranks hold the same numbers, bit for bit; DATA_LOSS names the rank that differs. Before a step is
  // taken: ranks that disagree would go apart for good.
  Status CheckRanksAgree(std::span<const double> numbers);

 private:
  comm::Comm& comm_;
  std::unique_ptr<GradientSum> sum_;
};

}  // namespace ft::shard
