#include "worker/rank/train_job.h"

#include <array>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/records/record_file.h"
#include "worker/train/checkpoint/adapter.h"
#include "worker/train/checkpoint/checkpoint.h"
#include "worker/train/checkpoint/share.h"
#include "worker/train/checkpoint/write_model.h"
#include "worker/data/prepare/model_files.h"
#include "worker/rank/answerer.h"
#include "worker/rank/load_model.h"
#include "worker/rank/meet.h"
#include "worker/rank/settings.h"
#include "worker/train/trainer/learning.h"
#include "worker/train/trainer/resolve.h"
#include "worker/train/trainer/batch.h"
#include "worker/train/trainer/trainer.h"
#include "worker/model/weights/model_digest.h"

namespace ft::rank {
namespace {

// An error and the failure class it counts under.
struct Trouble {
  std::string failure_class;
  Status status;
};

// The class of an error: of the exchange between ranks, of ranks that compute other numbers, or of what was being done.
std::string ClassOf(const Status& status, std::string_view doing) {
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsInternal(status)) return "NETWORK";
  return absl::IsDataLoss(status) ? "DEVICE_FAULT" : std::string(doing);
}

// The run while it lasts. Built once by Load; everything below is called on the training thread.
class TrainRun {
 public:
  TrainRun(const Attempt& attempt, int rank, Reporter& reporter, Control& control)
      : attempt_(attempt), rank_(rank), spec_(attempt.spec), reporter_(reporter), control_(control) {}

  records::Result Run() {
    StatusOr<std::unique_ptr<comm::Comm>> comm = Meet(attempt_, rank_, reporter_, control_);
    if (!comm.ok()) return Failed(ClassOf(comm.status(), "CONFIG"), comm.status());
    comm_ = *std::move(comm);
    if (std::optional<Trouble> trouble = Load()) return Failed(trouble->failure_class, trouble->status);
    if (std::optional<Trouble> trouble = Steps()) return Failed(trouble->failure_class, trouble->status, step_);
    if (stopped_) return {.state = records::ResultState::kStopped, .step = step_};
    return leads() ? Finish() : records::Result{.state = records::ResultState::kSucceeded, .step = step_};
  }

 private:
  bool leads() const { return rank_ == 0; }
  std::optional<Trouble> Load();
  std::optional<Trouble> LoadModelAndTrainer();
  std::optional<Trouble> OpenLeadersFiles();
  std::optional<Trouble> Restore();
  std::optional<Trouble> Steps();
  std::optional<Trouble> OneStep();
  std::optional<Trouble> WriteStep(train::StepOutcome outcome);
  StatusOr<Control::Wishes> AgreeOnWishes();
  std::optional<Trouble> SaveCheckpoint();
  std::optional<Trouble> Evaluate();
  std::optional<Trouble> AnswerPrompts();
  records::Result Finish();
  std::function<void(int64_t)> Progress(const char* phase);  // Beats of a file that is being written.
  StatusOr<std::string> WriteOutput();  // SHA-256 of the weights' file.
  StatusOr<std::string> WriteModel();   // Of a full fine-tuning.
  Status WritePlan();

  const Attempt& attempt_;
  const int rank_;
  recipe::JobSpec spec_;  // The attempt's, its accumulation chosen as soon as the data is open.
  Reporter& reporter_;
  Control& control_;
  std::unique_ptr<comm::Comm> comm_;
  std::optional<data::TokenCache> cache_;
  std::unique_ptr<run::LanguageModel> model_;
  std::unique_ptr<train::Trainer> trainer_;
  std::unique_ptr<Answerer> answerer_;  // Of rank 0, when there are prompts to answer.
  std::optional<records::FrameWriter> ledger_;
  checkpoint::Identity identity_;
  train::Learning learning_;     // Of this attempt's steps.
  int64_t step_ = 0;             // Completed.
  int64_t checkpoint_step_ = 0;  // Of the newest checkpoint.
  bool stopped_ = false;
};

run::ModelOptions OptionsOf(const recipe::JobSpec& spec) {
  return {.dtype = ResolvedDtype(spec.model),
          .method = spec.method.kind,
          .rank = spec.method.rank,
          .alpha = spec.method.alpha,
          .dropout = spec.method.dropout,
          .targets = spec.method.targets,
          .adapter_compute = spec.method.adapter_compute,
          .checkpointing = spec.train.activation_checkpointing,
          .checkpointed_blocks = spec.train.checkpointed_blocks,
          .seed = spec.train.seed};
}

checkpoint::TextConfig TextOf(const recipe::JobSpec& spec) {
  return {.template_name = spec.data.empty() ? "model" : spec.data[0].template_name,
          .tokenize = spec.train.tokenize,
          .method = spec.method.kind};
}

checkpoint::State StateOf(train::Trainer& trainer) { return {trainer.optimizer(), trainer.loss_scale()}; }

std::optional<Trouble> TrainRun::Load() {
  reporter_.Beat("load");
  StatusOr<data::TokenCache> cache = data::TokenCache::Open(attempt_.run.prepared_cache, /*verify=*/true);
  if (!cache.ok()) return Trouble{"DATA", cache.status()};
  if (cache->digest() != attempt_.run.prepared_sha256) {
    return Trouble{"DATA", absl::DataLossError(StrCat(attempt_.run.prepared_cache.string(), " has digest ",
                                                      cache->digest(), ", the job was prepared as ",
                                                      attempt_.run.prepared_sha256))};
  }
  if (cache->train_samples() == 0) return Trouble{"DATA", absl::InvalidArgumentError("the data has no training samples")};
  cache_ = *std::move(cache);
  spec_ = train::Resolved(spec_, *cache_);
  if (std::optional<Trouble> trouble = LoadModelAndTrainer()) return trouble;
  if (std::optional<Trouble> trouble = OpenLeadersFiles()) return trouble;
  return Restore();
}

std::optional<Trouble> TrainRun::LoadModelAndTrainer() {
  const auto loading = [this] { reporter_.Beat("load"); };
  StatusOr<std::string> base = weights::ModelDigest(spec_.model.source, attempt_.run.cache_dir, loading);
  if (!base.ok()) return Trouble{"CONFIG", base.status()};
  auto model = LoadModel(spec_.model.source, OptionsOf(spec_), loading);
  if (!model.ok()) return Trouble{"CONFIG", model.status()};
  model_ = *std::move(model);
  if (const Status fits = train::CheckTokens(*cache_, model_->config().vocabulary); !fits.ok()) return Trouble{"DATA", fits};
  trainer_ = std::make_unique<train::Trainer>(spec_, *cache_, *model_, *comm_,
                                              [this](std::string_view phase) { reporter_.Beat(phase); });
  identity_ = {*base, cache_->digest(), SettingsDigest(spec_), NumericFingerprint(attempt_.run.threads)};
  return std::nullopt;
}

std::optional<Trouble> TrainRun::OpenLeadersFiles() {
  if (!leads()) return std::nullopt;
  if (!spec_.train.evaluate.prompts.empty()) {
    auto answerer = Answerer::Open(spec_.model.source, TextOf(spec_),
                                   {.max_new_tokens = spec_.train.evaluate.max_new_tokens});
    if (!answerer.ok()) return Trouble{"CONFIG", WithContext(answerer.status(), "train.evaluate.prompts")};
    answerer_ = *std::move(answerer);
  }
  // In the run's folder, which may be shared: whichever node ends the job reads the ledgers of all attempts.
  const std::filesystem::path folder = attempt_.run.run_dir / "attempts" / StrCat(attempt_.run.epoch);
  if (const Status made = MakeDirectories(folder); !made.ok()) return Trouble{"CHECKPOINT_IO", made};
  StatusOr<records::FrameWriter> ledger = records::FrameWriter::Open(folder / "ledger.ftr");
  if (!ledger.ok()) return Trouble{"CHECKPOINT_IO", ledger.status()};
  ledger_ = *std::move(ledger);
  return std::nullopt;
}

std::optional<Trouble> TrainRun::Restore() {
  if (!attempt_.run.resume_path.empty() && leads()) {
    const checkpoint::Resume resume{.run_dir = attempt_.run.run_dir,
                                    .path = attempt_.run.resume_path,
                                    .allow_numeric_change = spec_.allow_numeric_change,
                                    .progress = [this] { reporter_.Beat("load"); }};
    const StatusOr<int64_t> step = checkpoint::Load(resume, identity_, StateOf(*trainer_));
    if (!step.ok()) {
      return Trouble{absl::IsFailedPrecondition(step.status()) ? "CONFIG" : "CHECKPOINT_IO", step.status()};
    }
    step_ = *step;
  }
  if (!attempt_.run.resume_path.empty()) {
    const Status shared = checkpoint::ShareState(*comm_, StateOf(*trainer_), step_);
    if (!shared.ok()) return Trouble{ClassOf(shared, "CHECKPOINT_IO"), shared};
    checkpoint_step_ = step_;
  }
  if (leads()) {
    for (const std::string& remark : model_->remarks()) reporter_.Note("INFO", "MODEL_FILES", remark);
    if (spec_.model.dtype == "fp16") {
      reporter_.Note("INFO", "FP16_IN_FP32", "model.dtype fp16 on CPU: products are computed in fp32 over weights rounded to fp16");
    }
    if (const Status status = WritePlan(); !status.ok()) return Trouble{"CHECKPOINT_IO", status};
  }
  if (step_ == 0) return Evaluate();
  return std::nullopt;
}

Status TrainRun::WritePlan() {
  records::Plan plan{.total_steps = trainer_->total_steps(), .first_step = step_ + 1,
                     .parameters = plan::ParameterCount(ShapeOf(model_->config())), .numeric_fingerprint = identity_.numeric_fingerprint};
  for (const plan::Place& place : model_->store().table().places()) plan.trainable_parameters += place.elements;
  return reporter_.Write(std::move(plan));
}

std::optional<Trouble> TrainRun::Steps() {
  while (step_ < trainer_->total_steps() && !stopped_) {
    if (std::optional<Trouble> trouble = OneStep()) return trouble;
    const StatusOr<Control::Wishes> agreed = AgreeOnWishes();
    if (!agreed.ok()) return Trouble{ClassOf(agreed.status(), "UNKNOWN_EXIT"), agreed.status()};
    const Control::Wishes wishes = *agreed;
    const bool last = step_ == trainer_->total_steps();
    const bool due = step_ - checkpoint_step_ >= spec_.train.checkpoint.every_steps;
    if (!last && (due || wishes.checkpoint || wishes.stop)) {
      if (std::optional<Trouble> trouble = SaveCheckpoint()) return trouble;
    }
    stopped_ = wishes.stop && !last;
  }
  return std::nullopt;
}

// A command reaches each rank at its own moment: what one has heard, all do at the same step.
StatusOr<Control::Wishes> TrainRun::AgreeOnWishes() {
  const Control::Wishes own = control_.Poll();
  const std::array<bool, 2> mine = {own.checkpoint, own.stop};
  std::vector<std::array<bool, 2>> all(static_cast<size_t>(comm_->size()));
  RETURN_IF_ERROR(comm_->AllGather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all))));
  Control::Wishes wishes;
  for (const auto& [checkpoint, stop] : all) {
    wishes.checkpoint |= checkpoint;
    wishes.stop |= stop;
  }
  return wishes;
}

std::optional<Trouble> TrainRun::OneStep() {
  StatusOr<train::StepOutcome> outcome = trainer_->RunStep(step_ + 1);
  if (!outcome.ok())
    return Trouble{ClassOf(outcome.status(), ClassOfStep(outcome.status())), outcome.status()};
  ++step_;
  learning_.Add(outcome->record.loss);
  if (leads()) {
    if (std::optional<Trouble> trouble = WriteStep(*std::move(outcome))) return trouble;
  }
  const int64_t every = spec_.train.evaluate.every_steps;
  const bool last = step_ == trainer_->total_steps();
  if (last || (every > 0 && step_ % every == 0)) return Evaluate();
  return std::nullopt;
}

std::optional<Trouble> TrainRun::WriteStep(train::StepOutcome outcome) {
  // The ledger first: a step that is reported is in it.
  if (const Status status = ledger_->Append(ledger::Encode(outcome.ledger)); !status.ok()) {
    return Trouble{"CHECKPOINT_IO", status};
  }
  if (const Status status = reporter_.Write(std::move(outcome.record)); !status.ok()) {
    return Trouble{"CHECKPOINT_IO", status};
  }
  return std::nullopt;
}

std::optional<Trouble> TrainRun::SaveCheckpoint() {
  checkpoint_step_ = step_;
  if (!leads()) return std::nullopt;
  reporter_.Beat("checkpoint");
  const StatusOr<checkpoint::Saved> saved = checkpoint::Save({.run_dir = attempt_.run.run_dir,
                                                              .epoch = attempt_.run.epoch,
                                                              .step = step_,
                                                              .progress = Progress("checkpoint")},
                                                             identity_, StateOf(*trainer_));
  if (!saved.ok()) return Trouble{"CHECKPOINT_IO", saved.status()};
  const Status status = reporter_.Write(records::Checkpoint{step_, saved->path, saved->manifest_sha256, saved->size_bytes});
  if (!status.ok()) return Trouble{"CHECKPOINT_IO", status};
  return std::nullopt;
}

std::optional<Trouble> TrainRun::Evaluate() {
  if (cache_->holdout_samples() > 0) {
    const StatusOr<records::Eval> eval = trainer_->EvaluateHoldout(step_);
    if (!eval.ok() && !absl::IsNotFound(eval.status())) {
      return Trouble{ClassOf(eval.status(), "UNKNOWN_EXIT"), eval.status()};
    }
    if (eval.ok() && leads()) {
      if (const Status status = reporter_.Write(*eval); !status.ok()) return Trouble{"CHECKPOINT_IO", status};
    }
  }
  return leads() ? AnswerPrompts() : std::nullopt;
}

std::optional<Trouble> TrainRun::AnswerPrompts() {
  for (const std::string& prompt : spec_.train.evaluate.prompts) {
    const auto beat = [this](std::string_view) { reporter_.Beat("generate"); };
    const StatusOr<Answer> answer = answerer_->Reply(*model_, {}, {.input = prompt}, beat);
    if (!answer.ok()) return Trouble{"CONFIG", WithContext(answer.status(), "train.evaluate.prompts")};
    if (const Status status = reporter_.Write(records::Sample{step_, prompt, answer->text}); !status.ok()) {
      return Trouble{"CHECKPOINT_IO", status};
    }
  }
  return std::nullopt;
}

// The last name components of the adapted layers, from PEFT's parameter names.
std::vector<std::string> TargetsOf(const params::ParameterStore& store) {
  std::set<std::string> targets;
  for (int i = 0; i < store.size(); ++i) {
    const std::string& name = store.name(i);
    const size_t end = name.find(".lora_A.");
    if (end != std::string::npos) targets.insert(name.substr(name.rfind('.', end - 1) + 1, end - name.rfind('.', end - 1) - 1));
  }
  return {targets.begin(), targets.end()};
}

std::function<void(int64_t)> TrainRun::Progress(const char* phase) {
  return [this, phase](int64_t bytes) { reporter_.Wrote(phase, bytes); };
}

StatusOr<std::string> TrainRun::WriteModel() {
  const std::filesystem::path model = spec_.model.source, out = attempt_.dir / "adapter";
  ASSIGN_OR_RETURN(const checkpoint::WrittenModel written,
                   checkpoint::WriteTrainedModel(
                       {.model = model, .out = out, .text = TextOf(spec_), .progress = Progress("write")},
                       model_->store()));
  // A .gguf file holds its tokenizer; the result must have one too.
  if (model.extension() == ".gguf") RETURN_IF_ERROR(prepare::WriteTokenizerFiles(model, out));
  return written.sha256;
}

StatusOr<std::string> TrainRun::WriteOutput() {
  reporter_.Beat("write");
  if (spec_.method.kind == "full") return WriteModel();
  const params::PeftConfig config{.rank = spec_.method.rank,
                                 .alpha = spec_.method.alpha,
                                 .dropout = spec_.method.dropout,
                                 .targets = TargetsOf(model_->store()),
                                 .base_model = spec_.model.source};
  ASSIGN_OR_RETURN(const checkpoint::WrittenAdapter written,
                   checkpoint::WriteAdapter({.dir = attempt_.dir / "adapter",
                                             .config = config,
                                             .text = TextOf(spec_),
                                             .progress = Progress("write")},
                                            model_->store()));
  return written.sha256;
}

records::Result TrainRun::Finish() {
  const StatusOr<std::string> sha256 = WriteOutput();
  if (!sha256.ok()) return Failed("CHECKPOINT_IO", sha256.status(), step_);
  StatusOr<std::vector<ledger::LedgerEntry>> entries = ledger::ReadJobLedger(attempt_.run.run_dir);
  if (!entries.ok()) return Failed("CHECKPOINT_IO", entries.status(), step_);
  if (const std::string verdict = learning_.Verdict(model_->config().vocabulary, spec_.train.optimizer.lr);
      !verdict.empty()) {
    reporter_.Note("WARNING", "NOTHING_LEARNT", verdict);
  }
  Sha256 ledger_digest;
  for (const ledger::LedgerEntry& entry : *entries) ledger_digest.Update(ledger::Encode(entry) + "\n");
  return {.state = records::ResultState::kSucceeded,
          .step = step_,
          .adapter_path = StrCat("attempts/", attempt_.run.epoch, "/adapter"),
          .adapter_sha256 = *sha256,
          .ledger_sha256 = Hex(ledger_digest.Finish())};
}

}  // namespace

records::Result RunTrain(const Attempt& attempt, int rank, Reporter& reporter, Control& control) {
  return TrainRun(attempt, rank, reporter, control).Run();
}

}  // namespace ft::rank
