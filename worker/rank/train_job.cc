#include "worker/rank/train_job.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/plan/smaller.h"
#include "core/records/record_file.h"
#include "worker/data/prepare/model_files.h"
#include "worker/device/memory.h"
#include "worker/model/weights/model_digest.h"
#include "worker/rank/chat_responder.h"
#include "worker/rank/device.h"
#include "worker/rank/load_model.h"
#include "worker/rank/rendezvous.h"
#include "worker/rank/settings.h"
#include "worker/train/checkpoint/adapter.h"
#include "worker/train/checkpoint/checkpoint.h"
#include "worker/train/checkpoint/share.h"
#include "worker/train/checkpoint/write_model.h"
#include "worker/train/cuda/cuda_library.h"
#include "worker/train/trainer/batch.h"
#include "worker/train/trainer/learning.h"
#include "worker/train/trainer/resolve.h"
#include "worker/train/trainer/trainer.h"

namespace ft::rank {
namespace {

// The run while it lasts, on the training thread.
class TrainRun {
 public:
  TrainRun(const Attempt& attempt, int rank, at::Device device, Reporter& reporter, Control& control)
      : attempt_(attempt),
        rank_(rank),
        device_(device),
        spec_(attempt.spec),
        reporter_(reporter),
        control_(control) {}

  records::Result Run() {
    try {
      return RunToTheEnd();
    } catch (const c10::OutOfMemoryError& error) {
      return Failed(WithMemoryHint(ThrownStatus(error)), step_);
    }
  }

 private:
  records::Result RunToTheEnd() {
    if (const Status started = Start(); !started.ok()) return Failed(started);
    if (const Status stepped = Steps(); !stepped.ok()) return Failed(stepped, step_);
    if (stopped_) return {.state = records::ResultState::kStopped, .step = step_};
    return is_rank0() ? Finish() : records::Result{.state = records::ResultState::kSucceeded, .step = step_};
  }
  bool is_rank0() const { return rank_ == 0; }
  // Errors carry their failure class.
  Status Start();  // Joins the other ranks, loads, resumes.
  Status LoadModelAndTrainer();
  Status OpenRank0Files();
  Status Restore();
  Status Steps();
  Status OneStep();
  Status WriteStep(train::StepOutcome outcome);
  StatusOr<Control::Commands> AgreeOnCommands();
  Status SaveCheckpoint();
  Status Evaluate();
  Status AnswerPrompts();
  records::Result Finish();
  std::function<void(int64_t)> Progress(const char* phase);  // Beats of a file that is being written.
  StatusOr<std::string> WriteOutput();                       // Returns the SHA-256 of the weights' file.
  StatusOr<std::string> WriteModel();                        // The output of a full fine-tuning.
  Status WritePlan();
  // Of a device that has no room: what took most, and what would fit.
  Status WithMemoryHint(const Status& status) const;

  const Attempt& attempt_;
  const int rank_;
  const at::Device device_;
  recipe::JobSpec spec_;  // The attempt's, its accumulation chosen as soon as the data is open.
  Reporter& reporter_;
  Control& control_;
  std::unique_ptr<comm::Comm> comm_;
  std::optional<data::TokenCache> cache_;
  std::unique_ptr<run::LanguageModel> model_;
  std::unique_ptr<train::Trainer> trainer_;
  std::unique_ptr<ChatResponder> responder_;  // On rank 0, when there are prompts to answer.
  std::optional<records::FrameWriter> ledger_;
  checkpoint::Identity identity_;
  std::string dtype_;            // The compute type that model.dtype stands for on the device.
  train::Learning learning_;     // The losses of this attempt's steps.
  int64_t step_ = 0;             // Completed.
  int64_t checkpoint_step_ = 0;  // Step of the newest checkpoint.
  bool stopped_ = false;
};

run::ModelOptions OptionsOf(const recipe::JobSpec& spec, std::string dtype, at::Device device) {
  return {.dtype = std::move(dtype),
          .method = spec.method.kind,
          .rank = spec.method.rank,
          .alpha = spec.method.alpha,
          .dropout = spec.method.dropout,
          .targets = spec.method.targets,
          .adapter_compute = spec.method.adapter_compute,
          .checkpointing = spec.train.activation_checkpointing,
          .checkpointed_blocks = spec.train.checkpointed_blocks,
          .seed = spec.train.seed,
          .device = device};
}

checkpoint::TextConfig TextOf(const recipe::JobSpec& spec) {
  return {.template_name = spec.data.empty() ? "model" : spec.data[0].template_name,
          .tokenize = spec.train.tokenize,
          .method = spec.method.kind};
}

checkpoint::State StateOf(train::Trainer& trainer) { return {trainer.optimizer(), trainer.loss_scale()}; }

Status TrainRun::Start() {
  ASSIGN_OR_RETURN(comm_, WithExchangeClass(ConnectRanks(attempt_, rank_, reporter_, control_), "CONFIG"));
  reporter_.Beat("load");
  ASSIGN_OR_RETURN(cache_,
                   WithClass(data::TokenCache::Open(attempt_.run.prepared_cache, /*verify=*/true), "DATA"));
  if (cache_->digest() != attempt_.run.prepared_sha256) {
    return WithClass(
        absl::DataLossError(StrCat(attempt_.run.prepared_cache.string(), " has digest ", cache_->digest(),
                                   ", the job was prepared as ", attempt_.run.prepared_sha256)),
        "DATA");
  }
  if (cache_->train_samples() == 0) {
    return WithClass(absl::InvalidArgumentError("the data has no training samples"), "DATA");
  }
  spec_ = train::ResolveFromData(spec_, *cache_);
  RETURN_IF_ERROR(LoadModelAndTrainer());
  RETURN_IF_ERROR(OpenRank0Files());
  return Restore();
}

Status TrainRun::LoadModelAndTrainer() {
  const auto loading = [this] { reporter_.Beat("load"); };
  ASSIGN_OR_RETURN(
      const std::string base,
      WithClass(weights::ModelDigest(spec_.model.source, attempt_.run.cache_dir, loading), "CONFIG"));
  ASSIGN_OR_RETURN(dtype_, WithClass(ResolveDtype(spec_.model, device_), "CONFIG"));
  ASSIGN_OR_RETURN(
      model_, WithClass(LoadModel(spec_.model.source, OptionsOf(spec_, dtype_, device_), loading), "CONFIG"));
  RETURN_IF_ERROR(WithClass(train::CheckTokens(*cache_, model_->config().vocabulary), "DATA"));
  trainer_ = std::make_unique<train::Trainer>(spec_, *cache_, *model_, *comm_,
                                              [this](std::string_view phase) { reporter_.Beat(phase); });
  identity_ = {base, cache_->digest(), SettingsDigest(spec_),
               NumericFingerprint(attempt_.run.threads, device_)};
  return absl::OkStatus();
}

Status TrainRun::OpenRank0Files() {
  if (!is_rank0()) return absl::OkStatus();
  if (!spec_.train.evaluate.prompts.empty()) {
    auto responder = ChatResponder::Open(spec_.model.source, TextOf(spec_),
                                         {.generate = {.max_new_tokens = spec_.train.evaluate.max_new_tokens},
                                          .date = attempt_.run.job_created});
    if (!responder.ok())
      return WithClass(WithContext(responder.status(), "train.evaluate.prompts"), "CONFIG");
    responder_ = *std::move(responder);
  }
  // In the run's folder, which may be shared: whichever node ends the job reads the ledgers of all attempts.
  const std::filesystem::path folder = attempt_.run.run_dir / "attempts" / StrCat(attempt_.run.epoch);
  RETURN_IF_ERROR(WithClass(MakeDirectories(folder), "CHECKPOINT_IO"));
  ASSIGN_OR_RETURN(ledger_, WithClass(records::FrameWriter::Open(folder / "ledger.ftr"), "CHECKPOINT_IO"));
  return absl::OkStatus();
}

Status TrainRun::Restore() {
  if (!attempt_.run.resume_path.empty() && is_rank0()) {
    const checkpoint::Resume resume{.run_dir = attempt_.run.run_dir,
                                    .path = attempt_.run.resume_path,
                                    .allow_numeric_change = spec_.allow_numeric_change,
                                    .progress = [this] { reporter_.Beat("load"); }};
    const StatusOr<int64_t> step = checkpoint::Load(resume, identity_, StateOf(*trainer_));
    if (!step.ok()) {
      return WithClass(step.status(), absl::IsFailedPrecondition(step.status()) ? "CONFIG" : "CHECKPOINT_IO");
    }
    step_ = *step;
  }
  if (!attempt_.run.resume_path.empty()) {
    RETURN_IF_ERROR(
        WithExchangeClass(checkpoint::ShareState(*comm_, StateOf(*trainer_), step_), "CHECKPOINT_IO"));
    checkpoint_step_ = step_;
  }
  if (is_rank0()) {
    for (const std::string& remark : model_->remarks()) reporter_.Note("INFO", "MODEL_FILES", remark);
    if (dtype_ == "fp16") {
      reporter_.Note("INFO", "FP16_IN_FP32",
                     "model.dtype fp16: products are computed in fp32 over weights rounded to fp16");
    }
    RETURN_IF_ERROR(WithClass(WritePlan(), "CHECKPOINT_IO"));
  }
  return step_ == 0 ? Evaluate() : absl::OkStatus();
}

Status TrainRun::WritePlan() {
  records::Plan plan{.total_steps = trainer_->total_steps(),
                     .first_step = step_ + 1,
                     .parameters = plan::ParameterCount(ShapeOf(model_->config())),
                     .numeric_fingerprint = identity_.numeric_fingerprint};
  for (const plan::TensorRange& range : model_->store().table().ranges())
    plan.trainable_parameters += range.elements;
  return reporter_.Write(std::move(plan));
}

Status TrainRun::WithMemoryHint(const Status& status) const {
  std::string text =
      StrCat(Message(status), "; at most ", device::PeakBytes(device_) >> 10, " KiB were held by tensors");
  const StatusOr<model::DecoderConfig> config = ReadModelConfig(spec_.model.source);
  if (config.ok()) {
    const plan::ModelShape shape = ShapeOf(*config);
    const bool bf16 = dtype_ == "bf16";
    const std::vector<plan::MemoryPart> parts = plan::EstimateMemory(shape, spec_, bf16, {});
    const plan::MemoryPart largest = plan::LargestPart(parts);
    StrAppend(&text, ", the largest part is ", largest.name, " with ", largest.bytes >> 20, " MiB");
    // Whatever was estimated was too much: at least a twentieth of what settings change must go.
    const int64_t total = plan::TotalBytes(parts), margin = (total - plan::FixedBytes(parts)) / 20;
    const int64_t room = std::min(cuda::CudaTable().describe(device_.index()).memory_bytes, total) - margin;
    const std::string change = plan::SmallestChange(shape, spec_, bf16, {}, room);
    StrAppend(&text, change.empty()
                         ? ": no setting makes this job fit, take a larger device or a smaller model"
                         : StrCat(": set ", change));
  }
  return WithClass(absl::ResourceExhaustedError(text), FailureClass(status));
}

Status TrainRun::Steps() {
  while (step_ < trainer_->total_steps() && !stopped_) {
    RETURN_IF_ERROR(OneStep());
    ASSIGN_OR_RETURN(const Control::Commands commands, WithExchangeClass(AgreeOnCommands(), "UNKNOWN_EXIT"));
    const bool last = step_ == trainer_->total_steps();
    const bool due = step_ - checkpoint_step_ >= spec_.train.checkpoint.every_steps;
    if (!last && (due || commands.checkpoint || commands.stop)) RETURN_IF_ERROR(SaveCheckpoint());
    stopped_ = commands.stop && !last;
  }
  return absl::OkStatus();
}

// A command reaches each rank at its own moment: what one has heard, all do at the same step.
StatusOr<Control::Commands> TrainRun::AgreeOnCommands() {
  const Control::Commands own = control_.Poll();
  const std::array<bool, 2> mine = {own.checkpoint, own.stop};
  std::vector<std::array<bool, 2>> all(static_cast<size_t>(comm_->size()));
  RETURN_IF_ERROR(comm_->AllGather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all))));
  Control::Commands commands;
  for (const auto& [checkpoint, stop] : all) {
    commands.checkpoint |= checkpoint;
    commands.stop |= stop;
  }
  return commands;
}

Status TrainRun::OneStep() {
  StatusOr<train::StepOutcome> outcome = trainer_->RunStep(step_ + 1);
  if (!outcome.ok()) return WithExchangeClass(outcome.status(), StepFailureClass(outcome.status()));
  ++step_;
  learning_.Add(outcome->record.loss);
  if (is_rank0()) RETURN_IF_ERROR(WithClass(WriteStep(*std::move(outcome)), "CHECKPOINT_IO"));
  const int64_t every = spec_.train.evaluate.every_steps;
  const bool last = step_ == trainer_->total_steps();
  return last || (every > 0 && step_ % every == 0) ? Evaluate() : absl::OkStatus();
}

Status TrainRun::WriteStep(train::StepOutcome outcome) {
  // The ledger first: a step that is reported is in it.
  RETURN_IF_ERROR(ledger_->Append(ledger::Encode(outcome.ledger)));
  return reporter_.Write(std::move(outcome.record));
}

Status TrainRun::SaveCheckpoint() {
  checkpoint_step_ = step_;
  if (!is_rank0()) return absl::OkStatus();
  reporter_.Beat("checkpoint");
  const checkpoint::SaveOptions options{.run_dir = attempt_.run.run_dir,
                                        .epoch = attempt_.run.epoch,
                                        .step = step_,
                                        .progress = Progress("checkpoint")};
  ASSIGN_OR_RETURN(const checkpoint::Saved saved,
                   WithClass(checkpoint::Save(options, identity_, StateOf(*trainer_)), "CHECKPOINT_IO"));
  return WithClass(
      reporter_.Write(records::Checkpoint{step_, saved.path, saved.manifest_sha256, saved.size_bytes}),
      "CHECKPOINT_IO");
}

Status TrainRun::Evaluate() {
  if (cache_->holdout_samples() > 0) {
    const StatusOr<records::Eval> eval = trainer_->EvaluateHoldout(step_);
    if (!eval.ok() && !absl::IsNotFound(eval.status()))
      return WithExchangeClass(eval.status(), "UNKNOWN_EXIT");
    if (eval.ok() && is_rank0()) RETURN_IF_ERROR(WithClass(reporter_.Write(*eval), "CHECKPOINT_IO"));
  }
  return is_rank0() ? AnswerPrompts() : absl::OkStatus();
}

Status TrainRun::AnswerPrompts() {
  for (const std::string& prompt : spec_.train.evaluate.prompts) {
    const auto beat = [this](std::string_view) { reporter_.Beat("generate"); };
    const StatusOr<Answer> answer = responder_->Reply(*model_, {}, {.input = prompt}, beat);
    if (!answer.ok()) return WithClass(WithContext(answer.status(), "train.evaluate.prompts"), "CONFIG");
    RETURN_IF_ERROR(
        WithClass(reporter_.Write(records::Sample{step_, prompt, answer->text}), "CHECKPOINT_IO"));
  }
  return absl::OkStatus();
}

// The last name components of the adapted layers, from PEFT's parameter names.
std::vector<std::string> TargetsOf(const params::ParameterStore& store) {
  std::set<std::string> targets;
  for (int i = 0; i < store.size(); ++i) {
    const std::string& name = store.name(i);
    const size_t end = name.find(".lora_A.");
    if (end != std::string::npos)
      targets.insert(name.substr(name.rfind('.', end - 1) + 1, end - name.rfind('.', end - 1) - 1));
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
  const StatusOr<std::string> sha256 = WithClass(WriteOutput(), "CHECKPOINT_IO");
  if (!sha256.ok()) return Failed(sha256.status(), step_);
  StatusOr<std::vector<ledger::LedgerEntry>> entries =
      WithClass(ledger::ReadJobLedger(attempt_.run.run_dir), "CHECKPOINT_IO");
  if (!entries.ok()) return Failed(entries.status(), step_);
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

records::Result RunTrain(const Attempt& attempt, int rank, at::Device device, Reporter& reporter,
                         Control& control) {
  return TrainRun(attempt, rank, device, reporter, control).Run();
}

}  // namespace ft::rank
