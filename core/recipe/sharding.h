// THE place that reads zero and exchange of a job, and what they mean. Everything else asks these answers, none of which is "which
// stage".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"

namespace ft::recipe {

// The order in which a step's gradients are added, part of what the job computes.
enum class SumOrder : uint8_t {
  // Micro-batches of a leaf one after another, leaves in a tree; the ranks exchange once a step. Every rank holds a whole gradient.
  kStep,
  // A tree over rounds of max_ranks micro-batches, rounds one after another; the ranks exchange after each micro-batch, and hold slices
  // of the sum.
  kMicroBatch,
};

// What `exchange` says, or where it is left to us what suits the method: full fine-tunings that several ranks may share go by
// micro-batches at every stage, so that a stage changes no bit; all else once a step (decision 120).
SumOrder SumOrderOf(const JobSpec& spec);

// Whether `name` is one of DeepSpeed's settings as XTuner ships them; then zero and offload are what it means.
bool TakeDeepspeedName(std::string_view name, ParallelSpec& parallel);
// "deepspeed_zero1, deepspeed_zero2, ...".
std::string DeepspeedNames();

struct Sharding {
  int slices = 1;  // Of every unit: the most ranks that may ever share the job.
  SumOrder order = SumOrder::kStep;
  bool states_sliced =
      false;  // Each rank keeps the moments of its slices, updates them and gives the weights to the others.
  bool gradients_sliced = false;  // No rank holds a whole gradient.
  bool weights_sliced =
      false;  // Each rank keeps its slices of all weights, frozen ones too; a unit is whole while it is used.
  std::vector<std::string> remarks;  // What a person should know: a sentence each.

  // INVALID_ARGUMENT for settings that contradict one another.
  static StatusOr<Sharding> Of(const JobSpec& spec);
};

}  // namespace ft::recipe
