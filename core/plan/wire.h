// What a step's exchange between ranks costs, in bytes that a rank receives: a function of sizes, equal for all transports.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/plan/optimizer_state.h"
#include "core/plan/passes.h"
#include "core/plan/slices.h"
#include "core/recipe/sharding.h"

namespace ft::plan {

// By operation of comm::Comm.
struct WireBytes {
  int64_t all_gather = 0;
  int64_t tree_sum = 0;
  int64_t reduce_scatter = 0;
  int64_t broadcast = 0;

  int64_t total() const { return all_gather + tree_sum + reduce_scatter + broadcast; }
  bool operator==(const WireBytes&) const = default;
};

// Of a tree sum over `count` floats: the others' shares of what this rank adds up, and the sums of the rest.
int64_t ReceivedInTreeSum(int64_t count, RankOf who);

struct StepShape {
  int64_t micro_batches = 0;
  bool scales_loss = false;  // fp16: whether a gradient left the range is asked of all.
  bool digested = true;      // The ledger has digests of its gradients and weights.
  // Where units are brought together while they are used: how a pass goes, and the bytes of each unit's frozen weights.
  PassShape pass = {};
  std::vector<int64_t> frozen_bytes = {};
};

// Passes that every rank runs in a step, those in which it has no micro-batch included.
int64_t PassesOfStep(const recipe::Sharding& sharding, int ranks, int64_t micro_batches);

// What `who` receives in an optimizer step that updates: gradients, what was computed of slices (norm, ledger), updated weights, and
// the few numbers that ranks compare.
WireBytes WireOfStep(const SliceTable& table, const recipe::Sharding& sharding, RankOf who, StepShape step);

// Bytes of what a rank holds of the trained weights between two steps.
struct StateBytes {
  int64_t values =
      0;  // float32, and the copies that products read where ranks have values of their slices only.
  int64_t gradients = 0;  // As they are summed, without partial sums that wait.
  int64_t moments = 0;    // The optimizer's state, whatever it keeps.

  bool operator==(const StateBytes&) const = default;
};
// Whether ranks have the float32 values of their slices only.
bool DividesValues(const SliceTable& table, const recipe::Sharding& sharding, int ranks);
StateBytes StateOf(const SliceTable& table, const recipe::Sharding& sharding, RankOf who,
                   std::span<const StateArray> arrays);

}  // namespace ft::plan
