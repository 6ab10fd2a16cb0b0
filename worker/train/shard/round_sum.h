// A tree over rounds of R micro-batches, R as many as there are slices; rounds are added one after another. The N ranks compute N
// neighbours of a round at once, rank r positions r, N + r and so on, exchange each unit's gradient as soon as a pass has no more of it,
// and keep their slices of the sums: the accumulator and log2(R / N) partial sums, and the gradients of the unit that is computed (of a
// tied embedding's unit too). A last round may be short: the tree is over the micro-batches that exist, and a rank that has none runs an
// empty pass, which receives and is no operand.
#pragma once

#include <torch/types.h>

#include <vector>

#include "worker/model/params/parameter_store.h"
#include "worker/train/shard/gradient_sum.h"
#include "worker/train/shard/slice_exchange.h"

namespace ft::shard {

class RoundSum final : public GradientSum, private params::GradientSink {
 public:
  // With `sliced` each rank ends with the sum of its slices, else all with all of it. All outlive this.
  RoundSum(comm::Comm& comm, SliceExchange& exchange, params::ParameterStore& store, bool sliced);

  StatusOr<double> Run(int64_t micro_batches, const MicroBatchFunction& micro_batch,
                       const EmptyPassFunction& empty_pass) override;

 private:
  // Micro-batches that the ranks compute at once.
  struct Group {
    int64_t first = 0;     // Rank 0's.
    int contributors = 0;  // Ranks that have one.
    int number = 0;        // Of the round's groups.
    bool last = false;     // Of the round.
    bool is_first_round = false;
  };

  std::vector<Group> GroupsOf(int64_t micro_batches) const;
  void Add(int index, const torch::Tensor& gradient) override;
  void AddRows(int index, const torch::Tensor& row_U, const torch::Tensor& gradient_UC) override;
  // Of a unit that has none yet.
  torch::Tensor Room(int index) override;
  // Exchanges the units down to this one that have not been yet.
  void EndUnit(int unit) override;
  Status Exchange(int unit);
  // Adds the group's sum of a unit's slices, which it may overwrite, to what waits.
  void Fold(const SliceExchange::Part& unit, const torch::Tensor& sum);
  // Of the step's sum, this rank's slices of the unit.
  torch::Tensor SumOf(const SliceExchange::Part& unit) const;
  torch::Tensor& BucketOf(int unit);
  torch::Tensor PlaceOf(int index);  // Of a tensor in its unit's bucket, in its shape.
  StatusOr<double> SumLosses(const std::vector<Group>& groups, const std::vector<double>& own);

  comm::Comm& comm_;
  SliceExchange& exchange_;
  params::ParameterStore& store_;
  const bool sliced_;
  const int round_;
  std::vector<torch::Tensor>
      partial_;  // partial_[l], of the share: the sum of 2^l groups that waits for its right neighbour.
  // Of the pass that runs.
  Group group_;
  std::vector<torch::Tensor> buckets_;  // Gradients of each unit, undefined where there are none yet.
  int next_unit_ = 0;                   // That is exchanged next: they go in falling order on all ranks.
  Status failure_;
};

}  // namespace ft::shard
