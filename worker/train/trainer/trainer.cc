#include "worker/train/trainer/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "worker/device/memory.h"
#include "worker/train/optim/clip.h"
#include "worker/train/trainer/batch.h"
#include "worker/train/trainer/resolve.h"
#include "worker/train/trainer/schedule.h"

namespace ft::train {
namespace {

using MicroBatches = std::vector<std::vector<data::OrderedSample>>;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Trainer::Trainer(const recipe::JobSpec& spec, const data::TokenCache& cache, run::LanguageModel& model,
                 comm::Comm& comm, std::function<void(std::string_view)> beat)
    : spec_(spec.train),
      cache_(cache),
      model_(model),
      beat_(std::move(beat)),
      sampler_(SamplerConfigOf(spec, cache)),
      total_steps_(sampler_.total_steps()),
      store_(model.store()),
      reducer_(comm, recipe::MaxRanks(spec.parallel), store_.gradients()) {
  if (comm.rank() == 0) digests_.emplace(store_);  // Rank 0 keeps the ledger.
  const recipe::OptimizerSpec& o = spec_.optimizer;
  optimizer_ = std::make_unique<optim::AdamW>(
      optim::AdamWConfig{.beta1 = o.beta1, .beta2 = o.beta2, .eps = o.eps, .weight_decay = o.weight_decay},
      store_);
  if (model.options().dtype == "fp16") {
    loss_scale_ = optim::LossScale({spec_.loss_scale.initial, spec_.loss_scale.growth_steps});
  }
}

StatusOr<double> Trainer::SumGradients(const MicroBatches& micro_batches, int64_t step, int64_t supervised) {
  const auto forward_backward = [&](int64_t i) {
    const auto& samples = micro_batches[static_cast<size_t>(i)];
    const run::PackedRows rows = MakeMicroBatch(cache_, samples, spec_.seed, static_cast<uint64_t>(step));
    const double loss = model_.ForwardBackward(rows, loss_scale_.value() / static_cast<double>(supervised));
    beat_("train");
    return loss;
  };
  ASSIGN_OR_RETURN(const double loss_sum,
                   reducer_.Run(static_cast<int64_t>(micro_batches.size()), forward_backward));
  return loss_sum / static_cast<double>(supervised);
}

double Trainer::Unscale(bool& overflow) {
  overflow = loss_scale_.Overflows(store_.gradients()) && !loss_scale_.AtFloor();
  if (loss_scale_.value() != 1) torch::Tensor(store_.gradients()).mul_(1 / loss_scale_.value());
  return optim::GlobalNorm(store_);
}

void Trainer::Update(const records::Step& record) {
  optim::ClipByNorm(store_, record.gradient_norm, spec_.max_grad_norm);
  optimizer_->Step(record.learning_rate);
  loss_scale_.NoteGoodStep();
}

StatusOr<StepOutcome> Trainer::RunStep(int64_t step) {
  const auto start = std::chrono::steady_clock::now();
  const MicroBatches micro_batches = sampler_.Step(step);
  StepOutcome outcome;
  records::Step& record = outcome.record;
  record.step = step;
  CountTokens(micro_batches, record);
  if (record.supervised_tokens == 0) {
    return absl::InvalidArgumentError(
        StrCat("step ", step, " has no token that carries loss: check the data's labels"));
  }
  ASSIGN_OR_RETURN(record.loss, SumGradients(micro_batches, step, record.supervised_tokens));
  const double backward_seconds = SecondsSince(start);
  bool overflow = false;
  record.loss_scale = loss_scale_.enabled() ? loss_scale_.value() : 0;
  // The norm is that of the gradients as they are used, so the scale comes out first.
  record.gradient_norm = Unscale(overflow);
  // Before anything changes the weights: ranks that disagree would go apart for good, and after an update it is too late.
  RETURN_IF_ERROR(reducer_.CheckRanksAgree(std::vector<double>{record.loss, record.gradient_norm}));
  record.learning_rate = LearningRate(spec_.schedule, spec_.optimizer.lr, step, total_steps_);
  // A loss that is not finite is the model's doing, whatever the scale.
  overflow = overflow && std::isfinite(record.loss);
  record.skipped = overflow || !std::isfinite(record.loss) || !std::isfinite(record.gradient_norm);
  if (record.skipped && !overflow && spec_.on_nonfinite == "stop") {
    const std::string tensor = optim::FirstNonFinite(store_);
    return NonFinite(tensor.empty() ? "the loss" : StrCat("the gradient of ", tensor), step, micro_batches);
  }
  // The gradient's digest is taken before Update clips it in place, the weights' after it.
  if (digests_) digests_->BeginEntry(step, micro_batches, outcome.ledger);
  if (!record.skipped) Update(record);
  if (overflow) loss_scale_.NoteOverflow();
  if (digests_) digests_->FinishEntry(outcome.ledger);
  record.samples_seen = sampler_.SamplesSeen(step);
  record.epoch = static_cast<double>(record.samples_seen) / static_cast<double>(cache_.train_samples());
  record.seconds = SecondsSince(start);
  record.phase_seconds = {{"forward_backward", backward_seconds},
                          {"optimizer", record.seconds - backward_seconds}};
  record.peak_memory_bytes = device::PeakBytes(store_.device());
  return outcome;
}

StatusOr<records::Eval> Trainer::EvaluateHoldout(int64_t step) {
  records::Eval eval{.step = step, .name = "holdout"};
  const auto sample = [&](int64_t i) {
    const auto index = cache_.train_samples() + i;
    return std::vector<data::OrderedSample>{{index, static_cast<uint64_t>(index)}};
  };
  for (int64_t i = 0; i < cache_.holdout_samples(); ++i)
    eval.supervised_tokens += SupervisedTokens(cache_, sample(i));
  if (eval.supervised_tokens == 0) return absl::NotFoundError("no held-out samples");
  ASSIGN_OR_RETURN(
      const std::vector<double> losses, reducer_.DistributedMap(cache_.holdout_samples(), [&](int64_t i) {
        if (SupervisedTokens(cache_, sample(i)) == 0) return 0.0;
        const double loss =
            model_.Loss(MakeMicroBatch(cache_, sample(i), spec_.seed, static_cast<uint64_t>(step)));
        beat_("evaluate");
        return loss;
      }));
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
