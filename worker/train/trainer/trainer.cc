#include "worker/train/trainer/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/base/check.h"
#include "core/recipe/sharding.h"
#include "worker/device/memory.h"
#include "worker/train/trainer/batch.h"
#include "worker/train/trainer/resolve.h"

namespace ft::train {
namespace {

using MicroBatches = std::vector<std::vector<data::OrderedSample>>;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

RatePlan RatesOf(const recipe::JobSpec& spec, const data::BatchSampler& order) {
  return {.schedule = spec.train.schedule,
          .peak = spec.train.optimizer.lr,
          .total_steps = order.total_steps(),
          .total_micro_batches = order.total_iterations(),
          .micro_batches_per_step = order.IterationsPerStep(),
          .warmup_from_zero = recipe::HasXTunersHabits(spec)};
}

}  // namespace

Trainer::Trainer(const recipe::JobSpec& spec, const data::TokenCache& cache, run::LanguageModel& model,
                 comm::Comm& comm, std::function<void(std::string_view)> beat,
                 std::unique_ptr<offload::Tier> tier)
    : spec_(spec.train),
      xtuner_(recipe::HasXTunersHabits(spec)),
      cache_(cache),
      model_(model),
      beat_(std::move(beat)),
      sampler_(SamplerConfigOf(spec, cache)),
      total_steps_(sampler_.total_steps()),
      rates_(RatesOf(spec, sampler_)) {
  const StatusOr<recipe::Sharding> sharding = recipe::Sharding::Of(spec);
  FT_CHECK(sharding.ok()) << sharding.status();
  state_ = std::make_unique<shard::TrainedState>(
      comm, *sharding, model.store(), spec_.optimizer, [&model] { model.ValuesChanged(); }, std::move(tier));
  digests_ = std::make_unique<StateDigests>(
      *state_, StateDigests::Plan{.every = recipe::LedgerEvery(spec), .total_steps = total_steps_});
  if (model.options().dtype == "fp16") {
    loss_scale_ = optim::LossScale({spec_.loss_scale.initial, spec_.loss_scale.growth_steps});
  }
}

StatusOr<double> Trainer::SumGradients(const MicroBatches& micro_batches, int64_t step, int64_t supervised) {
  const bool own_means = spec_.loss == "microbatch_mean";
  // What sums of token losses are divided by: those of a micro-batch before they are added up, and the sum of them.
  const auto shared = own_means ? static_cast<double>(micro_batches.size()) : static_cast<double>(supervised);
  const auto forward_backward = [&](int64_t i, params::GradientSink& sink) {
    const auto& samples = micro_batches[static_cast<size_t>(i)];
    const double own = own_means ? static_cast<double>(SupervisedTokens(cache_, samples)) : 1;
    // PyTorch's mean over nothing has no gradient either; it counts among the micro-batches.
    if (own == 0) {
      model_.EmptyPass(sink);
      return 0.0;
    }
    const run::PackedRows rows = MakeMicroBatch(cache_, samples, spec_.seed, static_cast<uint64_t>(step));
    const double loss = model_.ForwardBackward(rows, loss_scale_.value() / (own * shared), sink);
    beat_("train");
    return loss / own;
  };
  ASSIGN_OR_RETURN(const double loss_sum,
                   state_->reducer().Run(static_cast<int64_t>(micro_batches.size()), forward_backward,
                                         [this](params::GradientSink& sink) { model_.EmptyPass(sink); }));
  return loss_sum / shared;
}

Status Trainer::Measure(records::Step& record, bool& overflow) {
  record.loss_scale = loss_scale_.enabled() ? loss_scale_.value() : 0;
  // The norm is that of the gradients as they are used, so the scale comes out first.
  ASSIGN_OR_RETURN(const shard::Measured measured, state_->Measure(loss_scale_));
  record.gradient_norm = measured.norm;
  // Before anything changes the weights: ranks that disagree would go apart for good, and after an update it is too late.
  RETURN_IF_ERROR(state_->reducer().CheckRanksAgree(std::vector<double>{record.loss, record.gradient_norm}));
  // Nothing below the smallest scale is the scale's doing, nor is a loss that is not finite.
  overflow = measured.overflow && !loss_scale_.AtFloor() && std::isfinite(record.loss);
  record.skipped = overflow || !std::isfinite(record.loss) || !std::isfinite(record.gradient_norm);
  return absl::OkStatus();
}

StatusOr<StepOutcome> Trainer::Stop(int64_t step, const MicroBatches& micro_batches) {
  ASSIGN_OR_RETURN(const std::string tensor, state_->FirstNonFinite());
  return NonFinite(tensor.empty() ? "the loss" : StrCat("the gradient of ", tensor), step, micro_batches);
}

StatusOr<StepOutcome> Trainer::RunStep(int64_t step) {
  const auto start = std::chrono::steady_clock::now();
  const MicroBatches micro_batches = sampler_.Step(step);
  StepOutcome outcome;
  records::Step& record = outcome.record;
  record.step = step;
  CountTokens(micro_batches, record);
  // XTuner trains on samples without a supervised token; a step of nothing else has no gradient, and moments that fade.
  if (record.supervised_tokens == 0 && !(xtuner_ && spec_.loss == "microbatch_mean")) {
    return absl::InvalidArgumentError(
        StrCat("step ", step, " has no token that carries loss: check the data's labels"));
  }
  ASSIGN_OR_RETURN(record.loss, SumGradients(micro_batches, step, record.supervised_tokens));
  const double backward_seconds = SecondsSince(start);
  bool overflow = false;
  RETURN_IF_ERROR(Measure(record, overflow));
  record.learning_rate = LearningRate(rates_, step);
  if (record.skipped && !overflow && spec_.on_nonfinite == "stop") return Stop(step, micro_batches);
  // The gradient's digest is taken before Update clips it in place, the weights' after it.
  RETURN_IF_ERROR(digests_->BeginEntry(step, micro_batches, outcome.ledger));
  if (!record.skipped) {
    RETURN_IF_ERROR(state_->Update(record.learning_rate, record.gradient_norm, spec_.max_grad_norm));
    loss_scale_.NoteGoodStep();
  }
  if (overflow) loss_scale_.NoteOverflow();
  RETURN_IF_ERROR(digests_->FinishEntry(step, outcome.ledger));
  record.samples_seen = sampler_.SamplesSeen(step);
  record.epoch = static_cast<double>(record.samples_seen) / static_cast<double>(cache_.train_samples());
  record.seconds = SecondsSince(start);
  record.phase_seconds = {{"forward_backward", backward_seconds},
                          {"optimizer", record.seconds - backward_seconds}};
  record.peak_memory_bytes = device::PeakBytes(state_->store().device());
  return outcome;
}

StatusOr<records::Eval> Trainer::EvaluateHoldout(int64_t step) {
  return MeanLoss({.step = step, .name = std::string(recipe::kHoldout)}, cache_, cache_.train_samples(),
                  cache_.holdout_samples());
}

StatusOr<records::Eval> Trainer::EvaluateSamples(int64_t step, const std::string& name,
                                                 const data::TokenCache& samples) {
  return MeanLoss({.step = step, .name = name}, samples, 0, samples.samples());
}

StatusOr<records::Eval> Trainer::MeanLoss(records::Eval eval, const data::TokenCache& samples, int64_t first,
                                          int64_t count) {
  const auto sample = [&](int64_t i) {
    return std::vector<data::OrderedSample>{{first + i, static_cast<uint64_t>(first + i)}};
  };
  for (int64_t i = 0; i < count; ++i) eval.supervised_tokens += SupervisedTokens(samples, sample(i));
  if (eval.supervised_tokens == 0) return absl::NotFoundError("no held-out samples");
  const auto idle = [this] { model_.EmptyForward(); };
  const auto loss_of = [&](int64_t i) {
    if (SupervisedTokens(samples, sample(i)) == 0) {
      idle();
      return 0.0;
    }
    const double loss =
        model_.Loss(MakeMicroBatch(samples, sample(i), spec_.seed, static_cast<uint64_t>(eval.step)));
    beat_("evaluate");
    return loss;
  };
  ASSIGN_OR_RETURN(const std::vector<double> losses, state_->reducer().DistributedMap(count, loss_of, idle));
  for (const double loss : losses) eval.loss += loss;
  eval.loss /= static_cast<double>(eval.supervised_tokens);
  return eval;
}

Status Trainer::NonFinite(std::string_view what, int64_t step, const MicroBatches& micro_batches) const {
  std::string samples;
  for (const auto& micro_batch : micro_batches) {
    for (const data::OrderedSample& sample : micro_batch)
      StrAppend(&samples, samples.empty() ? "" : ", ", sample.index);
  }
  return absl::FailedPreconditionError(StrCat("step ", step, ": ", what, " is not finite (samples ", samples,
                                              "): lower the learning rate, or set train.on_nonfinite: skip"));
}

void Trainer::CountTokens(const MicroBatches& micro_batches, records::Step& record) const {
  for (const auto& micro_batch : micro_batches) {
    record.supervised_tokens += SupervisedTokens(cache_, micro_batch);
    for (const data::OrderedSample& sample : micro_batch) {
      record.tokens += static_cast<int64_t>(cache_.at(sample.index).ids.size());
    }
  }
}

}  // namespace ft::train
