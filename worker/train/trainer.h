// One job's training on one rank: the step, evaluation on the held-out share, and the state that a checkpoint holds.
// Lives on the training thread.
#pragma once

#include <functional>
#include <memory>

#include "core/base/status.h"
#include "core/ledger/ledger.h"
#include "core/recipe/job_spec.h"
#include "core/records/records.h"
#include "worker/data/sample_order.h"
#include "worker/data/token_cache.h"
#include "worker/optim/adamw.h"
#include "worker/run/language_model.h"

namespace ft::train {

struct StepOutcome {
  records::Step record;
  ledger::LedgerEntry ledger;
};

class Trainer {
 public:
  // Both outlive the trainer. `beat` is called after every unit of progress (micro-batch, evaluation batch).
  Trainer(const recipe::TrainSpec& spec, const data::TokenCache& cache, run::LanguageModel& model,
          std::function<void(std::string_view phase)> beat);

  int64_t total_steps() const { return total_steps_; }

  // Optimizer step `step` (from 1): micro-batches one after another into the gradients, each scaled by 1 / the step's
  // supervised tokens; norm; clip; AdamW. FAILED_PRECONDITION names step, samples and tensor when loss or gradients are
  // not finite and the policy is to stop; with policy skip the weights stay and the record says so.
  StatusOr<StepOutcome> RunStep(int64_t step);

  // Mean token loss over the held-out samples; nothing when there are none.
  StatusOr<records::Eval> EvaluateHoldout(int64_t step);

  // Optimizer state, for checkpoints.
  optim::AdamW& optimizer() { return *optimizer_; }

 private:
  StatusOr<double> AccumulateGradients(const std::vector<std::vector<data::OrderedSample>>& micro_batches, int64_t step,
                                       int64_t supervised);
  Status NonFinite(std::string_view what, int64_t step, const std::vector<std::vector<data::OrderedSample>>&) const;
  void CountTokens(const std::vector<std::vector<data::OrderedSample>>& micro_batches, records::Step& record) const;

  const recipe::TrainSpec spec_;
  const data::TokenCache& cache_;
  run::LanguageModel& model_;
  const std::function<void(std::string_view)> beat_;
  const data::OrderConfig order_;
  const int64_t total_steps_;
  std::unique_ptr<optim::AdamW> optimizer_;
};

}  // namespace ft::train
