// One job's training on one rank: the step, evaluation on the held-out share, and the state that a checkpoint holds. Every
// rank of a job runs the same calls in the same order and ends with the same bits; shard::TrainedState divides work and state, so
// nothing here asks how many ranks there are, or what each of them holds.
//
// Lives on the training thread.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/base/status.h"
#include "core/ledger/ledger.h"
#include "core/recipe/job_spec.h"
#include "core/records/records.h"
#include "worker/data/cache/batch_sampler.h"
#include "worker/data/cache/token_cache.h"
#include "worker/model/run/language_model.h"
#include "worker/train/optim/loss_scale.h"
#include "worker/train/shard/trained_state.h"
#include "worker/train/trainer/digest.h"
#include "worker/train/trainer/schedule.h"

namespace ft::train {

struct StepOutcome {
  records::Step record;
  ledger::LedgerEntry ledger;  // Empty on ranks that keep none.
};

class Trainer {
 public:
  // Cache, model and comm outlive the trainer. REQUIRES: recipe::Sharding::Of(spec) is OK. `beat` is called after every unit of progress (micro-batch, evaluation
  // batch). Rank 0 fills ledger entries. The optimizer's state rests on `tier`, or with none where the model is.
  Trainer(const recipe::JobSpec& spec, const data::TokenCache& cache, run::LanguageModel& model,
          comm::Comm& comm, std::function<void(std::string_view phase)> beat,
          std::unique_ptr<offload::Tier> tier = nullptr);

  int64_t total_steps() const { return total_steps_; }
  // Which samples the steps take, and where epochs end.
  const data::BatchSampler& order() const { return sampler_; }

  // Optimizer step `step` (from 1): micro-batches one after another into the gradients, each scaled by 1 / the step's
  // supervised tokens, or with microbatch_mean by 1 / (its own x the step's micro-batches); norm; clip; the optimizer. FAILED_PRECONDITION names step, samples and tensor when loss or gradients are
  // not finite and the policy is to stop; with policy skip the weights stay and the record says so. A gradient that leaves
  // fp16's range only because of the loss scale is skipped in any case and halves the scale. All ranks decide alike.
  // Errors of the exchange between ranks are the communicator's (UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL); DATA_LOSS names a
  // rank that computed other numbers. ABORTED and RESOURCE_EXHAUSTED are those of the tier: this rank takes no further step.
  StatusOr<StepOutcome> RunStep(int64_t step);

  // Mean token loss over the held-out samples, which the ranks divide; NOT_FOUND when there are none, or none has a token that counts.
  StatusOr<records::Eval> EvaluateHoldout(int64_t step);
  // Likewise over all samples of another cache, which CheckTokens accepts.
  StatusOr<records::Eval> EvaluateSamples(int64_t step, const std::string& name,
                                          const data::TokenCache& samples);

  // What a checkpoint holds besides the step.
  shard::TrainedState& state() { return *state_; }
  optim::LossScale& loss_scale() { return loss_scale_; }

 private:
  StatusOr<double> SumGradients(const std::vector<std::vector<data::OrderedSample>>& micro_batches,
                                int64_t step, int64_t supervised);
  // The step's gradients, measured and agreed on, and what is to become of them.
  Status Measure(records::Step& record, bool& overflow);
  // What a step that is not finite ends with.
  StatusOr<StepOutcome> Stop(int64_t step,
                             const std::vector<std::vector<data::OrderedSample>>& micro_batches);
  // Of `count` samples from `first` on.
  StatusOr<records::Eval> MeanLoss(records::Eval eval, const data::TokenCache& samples, int64_t first,
                                   int64_t count);
  Status NonFinite(std::string_view what, int64_t step,
                   const std::vector<std::vector<data::OrderedSample>>&) const;
  void CountTokens(const std::vector<std::vector<data::OrderedSample>>& micro_batches,
                   records::Step& record) const;

  const recipe::TrainSpec spec_;
  const bool xtuner_;  // The job asks for XTuner's habits.
  const data::TokenCache& cache_;
  run::LanguageModel& model_;
  const std::function<void(std::string_view)> beat_;
  const data::BatchSampler sampler_;
  const int64_t total_steps_;
  const RatePlan rates_;
  std::unique_ptr<shard::TrainedState> state_;
  std::unique_ptr<StateDigests> digests_;
  optim::LossScale loss_scale_;
};

}  // namespace ft::train
