// The ledger entry of a step.
#pragma once

#include <string>
#include <vector>

#include "core/ledger/ledger.h"
#include "worker/data/cache/batch_sampler.h"
#include "worker/model/ops/flat.h"
#include "worker/train/shard/trained_state.h"

namespace ft::train {

// Digests of a state's tensors, as the ledger has them since version 2: of a tensor, the SHA-256 over the SHA-256s of its leaves, pieces of
// 4 KiB. Leaves are digested where the tensors lie, many at a time, and by those who own them. Rank 0 keeps the ledger: entries of other
// ranks stay empty. Refers to the state.
//
// The first step, each `every`-th and the last of a job have them; entries of the others hold step and samples.
class StateDigests {
 public:
  struct Plan {
    int64_t every = 1;
    int64_t total_steps = 0;
    bool Has(int64_t step) const { return step == 1 || step % every == 0 || step == total_steps; }
  };
  StateDigests(shard::TrainedState& state, Plan plan);

  // Fills step, samples (indices in order) and, where the step has them, gradient digests; call before clipping.
  Status BeginEntry(int64_t step, const std::vector<std::vector<data::OrderedSample>>& micro_batches,
                    ledger::LedgerEntry& entry);
  // Fills the weights' digests where the step has them; call after the update.
  Status FinishEntry(int64_t step, ledger::LedgerEntry& entry);

 private:
  // Leaves of this rank that are digested at once, in values that lie end to end.
  struct Piece {
    plan::Extent values;  // Of this rank's.
    ops::Leaves leaves;   // From the first of these on.
  };
  static std::vector<Piece> PiecesOf(shard::TrainedState& state);
  // Of this rank's leaves of values.
  StatusOr<torch::Tensor> OfValues();
  // The digests of tensors, in hexadecimal, by index; `of_leaves` are those of this rank's leaves.
  StatusOr<std::vector<std::string>> Of(const torch::Tensor& of_leaves);

  shard::TrainedState& state_;
  const Plan plan_;
  const bool keeps_;                          // This rank's entries are the job's.
  const std::vector<plan::OwnedRun> owners_;  // Of all leaves.
  std::vector<int64_t> first_leaf_;           // Of each tensor, by index; the number of leaves at the end.
  const ops::Leaves of_sums_;                 // Leaves of this rank in summed gradients,
  const std::vector<Piece> of_values_;        // and in values.
};

}  // namespace ft::train
