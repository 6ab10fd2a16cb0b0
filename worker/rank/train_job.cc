#include "worker/rank/train_job.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/plan/smaller.h"
#include "core/recipe/sharding.h"
#include "core/records/record_file.h"
#include "worker/data/prepare/model_files.h"
#include "worker/device/memory.h"
#include "worker/model/decoder/family.h"
#include "worker/model/weights/model_digest.h"
#include "worker/rank/benchmarks.h"
#include "worker/rank/device.h"
#include "worker/rank/earlier_adapter.h"
#include "worker/rank/evaluation_files.h"
#include "worker/rank/free_memory.h"
#include "worker/rank/freed_pages.h"
#include "worker/rank/load_model.h"
#include "worker/rank/prepare_job.h"
#include "worker/rank/rendezvous.h"
#include "worker/rank/sample_chats.h"
#include "worker/rank/settings.h"
#include "worker/rank/state_place.h"
#include "worker/train/checkpoint/adapter.h"
#include "worker/train/checkpoint/checkpoint.h"
#include "worker/train/checkpoint/write_model.h"
#include "worker/train/cuda/cuda_library.h"
#include "worker/train/shard/unit_exchange.h"
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
    const Status started = Start();
    if (absl::IsCancelled(started)) return {.state = records::ResultState::kStopped};
    if (!started.ok()) return Failed(started);
    if (const Status stepped = Steps(); !stepped.ok()) return Failed(stepped, step_);
    if (stopped_) return {.state = records::ResultState::kStopped, .step = step_};
    return is_rank0() ? Finish() : Serve();
  }
  bool is_rank0() const { return rank_ == 0; }
  // Errors carry their failure class.
  Status Start();  // Joins the other ranks, loads, resumes.
  Status LoadModelAndTrainer();
  // Where weights rest that no pass reads, and what ranks divide of them.
  StatusOr<params::WeightDivision> OpenWeightTiers();
  // What rests there, once the model is loaded.
  void TellWeightTiers();
  // Where this rank's optimizer state rests. All of the tier is taken.
  StatusOr<std::unique_ptr<offload::Tier>> OpenTier();
  // What the plan needs of this rank, and what is there.
  Room RoomOfPlan() const;
  // Takes the values of an earlier adapter; what training starts from is the base and it.
  Status StartWith(const checkpoint::StoredAdapter& earlier, std::string& base);
  Status OpenRank0Files();
  Status Restore();
  StatusOr<int64_t> LoadCheckpoint();  // The step that it was made after.
  Status TellPlan();
  // Of work on files in which ranks exchange data: where the exchange failed, it has the exchange's class; what is of a disk has this
  // rank's number and CHECKPOINT_IO.
  Status WithFileClass(const Status& status, std::string_view failure_class) const;
  // With this rank's number, unless the exchange with others failed.
  Status OfThisRank(const Status& status) const;
  Status Steps();
  Status OneStep();
  Status WriteStep(train::StepOutcome outcome);
  StatusOr<Control::Commands> AgreeOnCommands();
  Status SaveCheckpoint();
  bool EpochCheckpointDue() const;
  bool EvaluationDue() const;
  Status OpenEvaluationFiles();
  Status Evaluate();
  Status TellLoss(const StatusOr<records::Eval>& eval);
  Status AnswerPrompts();
  bool BenchmarksDue() const;
  Status AnswerBenchmarks();
  records::Result Finish();
  records::Result Serve();  // The other ranks' part: what they have of the weights goes to rank 0.
  std::function<void(int64_t)> Progress(const char* phase);  // Beats of a file that is being written.
  StatusOr<std::string> WriteOutput();                       // Returns the SHA-256 of the weights' file.
  StatusOr<std::string> WriteModel();                        // The output of a full fine-tuning.
  checkpoint::ReadValue Values();                            // Whole, wherever they are.
  Status WritePlan();
  // Of a device that has no room: what took most, and what would fit.
  Status WithMemoryHint(const Status& status) const;

  const Attempt& attempt_;
  const int rank_;
  const at::Device device_;
  recipe::JobSpec spec_;  // The attempt's, its accumulation chosen as soon as the data is open.
  Reporter& reporter_;
  Control& control_;
  recipe::Sharding sharding_;
  std::unique_ptr<comm::Comm> comm_;
  std::unique_ptr<shard::UnitExchange> unit_exchange_;
  std::optional<data::TokenCache> cache_;
  std::unique_ptr<params::WeightTier> weight_tier_;
  std::unique_ptr<params::WeightTier> value_tier_;  // Of float32 values that rest with the optimizer's state.
  FreedPages freed_pages_;
  std::unique_ptr<run::LanguageModel> model_;
  std::unique_ptr<train::Trainer> trainer_;
  std::unique_ptr<SampleChats> samples_;    // When there are prompts, on ranks that answer them.
  std::unique_ptr<Benchmarks> benchmarks_;  // When there are sets.
  std::vector<HeldOutFile> held_out_;
  bool checkpoint_asked_ = false;  // While benchmarks were answered, and not yet saved.
  std::optional<records::FrameWriter> ledger_;
  checkpoint::Identity identity_;
  int64_t free_at_start_ = 0;    // Bytes of the host's memory, before anything was loaded.
  std::string dtype_;            // The compute type that model.dtype stands for on the device.
  train::Learning learning_;     // The losses of this attempt's steps.
  int64_t step_ = 0;             // Completed.
  int64_t checkpoint_step_ = 0;  // Step of the newest checkpoint.
  bool stopped_ = false;
};

run::ModelOptions OptionsOf(const recipe::JobSpec& spec, std::string dtype, at::Device device,
                            const params::WeightDivision& division) {
  return {.dtype = std::move(dtype),
          .method = spec.method.kind,
          .rank = spec.method.rank,
          .alpha = spec.method.alpha,
          .dropout = spec.method.dropout,
          // A model whose head is its embedding trains it as both, and PEFT is told so.
          .kind = AdapterKindOf(spec.method, /*ensure_weight_tying=*/true),
          .targets = spec.method.targets,
          .pass_over_targets = recipe::HasXTunersHabits(spec),
          .adapter_compute = spec.method.adapter_compute,
          .checkpointing = spec.train.activation_checkpointing,
          .checkpointed_blocks = spec.train.checkpointed_blocks,
          .seed = spec.train.seed,
          .device = device,
          .division = division};
}

checkpoint::TextConfig TextOf(const recipe::JobSpec& spec) {
  return {.template_name = spec.data.empty() ? "model" : spec.data[0].template_name,
          .tokenize = spec.train.tokenize,
          .method = spec.method.kind,
          .eos_token = spec.model.eos_token};
}

// Of a disk that failed or is full, which concerns one rank alone.
bool IsOfADisk(const Status& status) { return !status.ok() && StepFailureClass(status) == "CHECKPOINT_IO"; }

checkpoint::State StateOf(train::Trainer& trainer) { return {trainer.state(), trainer.loss_scale()}; }

Status TrainRun::Start() {
  free_at_start_ = FreeMemory();
  ASSIGN_OR_RETURN(sharding_, WithClass(recipe::Sharding::Of(spec_), "CONFIG"));
  ASSIGN_OR_RETURN(comm_, WithExchangeClass(ConnectRanks(attempt_, rank_, reporter_, control_), "CONFIG"));
  RETURN_IF_ERROR(WithExchangeClass(ConnectDevices(attempt_, device_, reporter_, *comm_), "CONFIG"));
  unit_exchange_ = std::make_unique<shard::UnitExchange>(*comm_);
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
  if (!spec_.train.evaluate.sets.empty()) {
    ASSIGN_OR_RETURN(benchmarks_, WithClass(Benchmarks::Open(spec_), "CONFIG"));
  }
  RETURN_IF_ERROR(WithClass(OpenEvaluationFiles(), "DATA"));
  RETURN_IF_ERROR(LoadModelAndTrainer());
  for (const HeldOutFile& file : held_out_)
    RETURN_IF_ERROR(WithClass(train::CheckTokens(file.samples, model_->config().vocabulary), "DATA"));
  // Rank 0 answers, or all ranks do where each has a part of the model.
  if (!spec_.train.evaluate.prompts.empty() && (is_rank0() || model_->needs_all_ranks())) {
    ASSIGN_OR_RETURN(samples_,
                     WithClass(SampleChats::Open(spec_, TextOf(spec_), attempt_.run.job_created), "CONFIG"));
  }
  RETURN_IF_ERROR(OpenRank0Files());
  return Restore();
}

Status TrainRun::OpenEvaluationFiles() {
  const prepare::PrepareRequest request =
      PrepareRequestOf(attempt_, [this](int64_t) { reporter_.Beat("load"); });
  ASSIGN_OR_RETURN(spec_.train.evaluate.prompts, AllPrompts(spec_.train.evaluate, request.roots));
  ASSIGN_OR_RETURN(held_out_, OpenHeldOutFiles(request));
  return absl::OkStatus();
}

Status TrainRun::LoadModelAndTrainer() {
  const auto loading = [this] { reporter_.Beat("load"); };
  ASSIGN_OR_RETURN(
      std::string base,
      WithClass(weights::ModelDigest(spec_.model.source, attempt_.run.cache_dir, loading), "CONFIG"));
  ASSIGN_OR_RETURN(dtype_, WithClass(ResolveDtype(spec_.model, device_), "CONFIG"));
  ASSIGN_OR_RETURN(const std::optional<checkpoint::StoredAdapter> earlier,
                   WithClass(TakeEarlierAdapter(spec_), "CONFIG"));
  ASSIGN_OR_RETURN(const params::WeightDivision division, OpenWeightTiers());
  run::ModelOptions options = OptionsOf(spec_, dtype_, device_, division);
  options.base_cache = {
      .folder = attempt_.run.cache_dir / "base",
      .model_sha256 = base,
      .progress = loading,
      .remark = [this](const std::string& remark) { reporter_.Note("WARNING", "BASE_CACHE", remark); }};
  options.before_backward = [this] { freed_pages_.GiveBackExcess(); };
  StatusOr<std::unique_ptr<run::LanguageModel>> model = LoadModel(spec_.model.source, options, loading);
  if (!model.ok()) return WithFileClass(model.status(), "CONFIG");
  model_ = *std::move(model);
  if (is_rank0()) TellWeightTiers();
  if (earlier.has_value()) RETURN_IF_ERROR(WithClass(StartWith(*earlier, base), "CONFIG"));
  RETURN_IF_ERROR(WithClass(train::CheckTokens(*cache_, model_->config().vocabulary), "DATA"));
  ASSIGN_OR_RETURN(std::unique_ptr<offload::Tier> tier, OpenTier());
  trainer_ = std::make_unique<train::Trainer>(
      spec_, *cache_, *model_, *comm_, [this](std::string_view phase) { reporter_.Beat(phase); },
      std::move(tier));
  identity_ = {base, cache_->digest(), SettingsDigest(spec_),
               NumericFingerprint(attempt_.run.threads, device_)};
  return absl::OkStatus();
}

StatusOr<params::WeightDivision> TrainRun::OpenWeightTiers() {
  const auto open = [this](recipe::StateTier tier, const char* setting) {
    const auto warning = [this](const std::string& text) {
      if (is_rank0()) reporter_.Note("WARNING", "OFFLOAD", text);
    };
    return PlaceWeights(attempt_, device_, {tier, setting, [this] { reporter_.Beat("load"); }, warning});
  };
  ASSIGN_OR_RETURN(weight_tier_, open(recipe::WeightTierOf(spec_), "parameters"));
  if (recipe::ValuesRestWithState(spec_)) {
    ASSIGN_OR_RETURN(value_tier_, open(recipe::StateTierOf(spec_), "optimizer"));
  }
  return shard::DivisionOf(
      sharding_, *unit_exchange_,
      {weight_tier_.get(), recipe::TrainedWeightsRest(spec_), /*values=*/value_tier_.get()});
}

void TrainRun::TellWeightTiers() {
  const auto tell = [this](std::string_view what, const params::WeightTier& tier, std::string_view more) {
    reporter_.Note(
        "INFO", "OFFLOAD",
        StrCat(what, " rest in ", tier.place(), " (", tier.bytes().held, " bytes of this one)", more));
  };
  if (weight_tier_ != nullptr) tell("weights of each rank that no pass reads", *weight_tier_, "");
  // Without copies in another type nothing was taken of it.
  if (value_tier_ != nullptr && model_->store().values_rest()) {
    tell("float32 values of each rank's trained weights", *value_tier_,
         ", and each step reads and writes all of them");
  }
}

Room TrainRun::RoomOfPlan() const {
  const bool bf16 = dtype_ == "bf16";
  const int64_t planned = plan::TotalBytes(plan::EstimateMemory(ShapeOf(model_->config()), spec_, bf16, {}));
  // The other ranks of the node are there at the same time.
  if (device_.is_cpu())
    return {planned, free_at_start_ / std::max<int64_t>(std::ssize(attempt_.run.ranks_on_node), 1)};
  return {planned, cuda::CudaTable().describe(device_.index()).memory_bytes / attempt_.run.device_slots};
}

StatusOr<std::unique_ptr<offload::Tier>> TrainRun::OpenTier() {
  plan::StateTiles tiles =
      plan::StateTiles::OfRank(model_->store().table(), sharding_, {comm_->rank(), comm_->size()},
                               plan::StateArraysOf(spec_.train.optimizer.kind));
  StatusOr<StatePlace> place =
      PlaceState(attempt_, device_, RoomOfPlan(), std::move(tiles), [this] { reporter_.Beat("train"); });
  if (!place.ok()) return WithContext(place.status(), StrCat("rank ", rank_));
  if (is_rank0()) {
    for (const std::string& remark : place->remarks) reporter_.Note("INFO", "OPTIMIZER", remark);
    if (!place->warning.empty()) reporter_.Note("WARNING", "OPTIMIZER", place->warning);
  }
  return std::move(place->tier);
}

Status TrainRun::StartWith(const checkpoint::StoredAdapter& earlier, std::string& base) {
  const Status taken =
      shard::CatchUnavailable([&] { return params::ReadValues(*earlier.tensors, model_->store()); });
  if (!taken.ok())
    return WithContext(
        taken, StrCat("method.init_from: ", spec_.method.init_from, " does not fit ", spec_.model.source));
  ASSIGN_OR_RETURN(const std::string digest,
                   weights::ModelDigest(spec_.method.init_from, attempt_.run.cache_dir,
                                        [this] { reporter_.Beat("load"); }));
  base = Hex(Sha256Of(StrCat(base, "\n", digest)));
  return WithExchangeClass(shard::CatchUnavailable([this] {
                             model_->ValuesChanged();
                             return absl::OkStatus();
                           }),
                           "CONFIG");
}

Status TrainRun::OpenRank0Files() {
  if (!is_rank0()) return absl::OkStatus();
  // In the run's folder, which may be shared: whichever node ends the job reads the ledgers of all attempts.
  const std::filesystem::path folder = attempt_.run.run_dir / "attempts" / StrCat(attempt_.run.epoch);
  RETURN_IF_ERROR(WithClass(MakeDirectories(folder), "CHECKPOINT_IO"));
  ASSIGN_OR_RETURN(ledger_, WithClass(records::FrameWriter::Open(folder / "ledger.ftr"), "CHECKPOINT_IO"));
  return absl::OkStatus();
}

// What is damaged stays so; what could not be read may be there after a pause.
std::string_view LoadFailureClass(const Status& status) {
  if (absl::IsFailedPrecondition(status)) return "CONFIG";
  return absl::IsDataLoss(status) ? "DATA" : "CHECKPOINT_IO";
}

Status TrainRun::Restore() {
  if (!attempt_.run.resume_path.empty()) {
    StatusOr<int64_t> step = LoadCheckpoint();
    if (!step.ok()) return WithFileClass(step.status(), LoadFailureClass(step.status()));
    checkpoint_step_ = step_ = *step;
  }
  if (is_rank0()) RETURN_IF_ERROR(TellPlan());
  if (step_ == 0) return Evaluate();
  // An earlier attempt may have been stopped while it answered.
  return BenchmarksDue() ? AnswerBenchmarks() : absl::OkStatus();
}

StatusOr<int64_t> TrainRun::LoadCheckpoint() {
  if (!is_rank0()) return checkpoint::JoinLoad(StateOf(*trainer_));
  const checkpoint::Resume resume{
      .run_dir = attempt_.run.run_dir,
      .newest_first = process::CheckpointsNewestFirst(attempt_.run),
      .allow_numeric_change = spec_.allow_numeric_change,
      .progress = [this] { reporter_.Beat("load"); },
      .passed_over =
          [this](const std::string& remark) { reporter_.Note("WARNING", "CHECKPOINT_DAMAGED", remark); }};
  return checkpoint::Load(resume, identity_, StateOf(*trainer_));
}

Status TrainRun::OfThisRank(const Status& status) const {
  return comm_->failure().ok() ? WithContext(status, StrCat("rank ", rank_)) : status;
}

Status TrainRun::WithFileClass(const Status& status, std::string_view failure_class) const {
  if (!comm_->failure().ok()) return WithExchangeClass(status, failure_class);
  return IsOfADisk(status) ? WithClass(OfThisRank(status), "CHECKPOINT_IO")
                           : WithClass(status, failure_class);
}

Status TrainRun::TellPlan() {
  for (const std::string& remark : model_->remarks()) reporter_.Note("INFO", "MODEL_FILES", remark);
  if (dtype_ == "fp16") {
    reporter_.Note("INFO", "FP16_IN_FP32",
                   "model.dtype fp16: products are computed in fp32 over weights rounded to fp16");
  }
  for (const std::string& remark : sharding_.remarks) reporter_.Note("INFO", "SHARDING", remark);
  return WithClass(WritePlan(), "CHECKPOINT_IO");
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
    recipe::JobSpec spec = spec_;
    if (!device_.is_cpu()) spec.resources.device = "gpu";  // `auto` came to be one.
    const std::vector<plan::MemoryPart> parts = plan::EstimateMemory(shape, spec, bf16, {});
    const plan::MemoryPart largest = plan::LargestPart(parts);
    StrAppend(&text, ", the largest part is ", largest.name, " with ", largest.bytes >> 20, " MiB");
    // Whatever was estimated was too much: at least a twentieth of what settings change must go.
    const int64_t total = plan::TotalBytes(parts), margin = (total - plan::FixedBytes(parts)) / 20;
    const int64_t room = std::min(cuda::CudaTable().describe(device_.index()).memory_bytes, total) - margin;
    const std::string change = plan::SmallestChange(shape, spec, bf16, {}, room);
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
    const bool due = step_ - checkpoint_step_ >= spec_.train.checkpoint.every_steps || EpochCheckpointDue();
    if (!last && (due || commands.checkpoint || commands.stop)) RETURN_IF_ERROR(SaveCheckpoint());
    stopped_ = commands.stop && !last;
  }
  return absl::OkStatus();
}

// Whether every_epochs more epochs ended with the step that was taken last.
bool TrainRun::EpochCheckpointDue() const {
  const int64_t every = spec_.train.checkpoint.every_epochs;
  if (every == 0) return false;
  const data::BatchSampler& order = trainer_->order();
  return order.EpochsEnded(step_) / every > order.EpochsEnded(step_ - 1) / every;
}

bool TrainRun::EvaluationDue() const {
  const recipe::EvaluateSpec& evaluate = spec_.train.evaluate;
  if (step_ == trainer_->total_steps()) return true;
  if (evaluate.every_micro_batches > 0)
    return trainer_->order().HoldsIteration(step_, evaluate.every_micro_batches);
  return evaluate.every_steps > 0 && step_ % evaluate.every_steps == 0;
}

// A command reaches each rank at its own moment: what one has heard, all do at the same step.
StatusOr<Control::Commands> TrainRun::AgreeOnCommands() {
  Control::Commands own = control_.Poll();
  own.checkpoint |= std::exchange(checkpoint_asked_, false);
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
  if (!outcome.ok()) {
    if (IsOfADisk(outcome.status())) return WithFileClass(outcome.status(), "CHECKPOINT_IO");
    return WithExchangeClass(outcome.status(), StepFailureClass(outcome.status()));
  }
  ++step_;
  learning_.Add(outcome->record.loss);
  if (is_rank0()) RETURN_IF_ERROR(WithClass(WriteStep(*std::move(outcome)), "CHECKPOINT_IO"));
  if (EvaluationDue()) RETURN_IF_ERROR(Evaluate());
  return BenchmarksDue() ? AnswerBenchmarks() : absl::OkStatus();
}

Status TrainRun::WriteStep(train::StepOutcome outcome) {
  // The ledger first: a step that is reported is in it.
  RETURN_IF_ERROR(ledger_->Append(ledger::Encode(outcome.ledger)));
  return reporter_.Write(std::move(outcome.record));
}

Status TrainRun::SaveCheckpoint() {
  checkpoint_step_ = step_;
  reporter_.Beat("checkpoint");
  const checkpoint::SaveOptions options{.run_dir = attempt_.run.run_dir,
                                        .epoch = attempt_.run.epoch,
                                        .step = step_,
                                        .progress = Progress("checkpoint")};
  if (!is_rank0()) {
    const Status joined = checkpoint::JoinSave(options, StateOf(*trainer_));
    return IsOfADisk(joined) ? WithFileClass(joined, "CHECKPOINT_IO")
                             : WithFileClass(OfThisRank(joined), "CHECKPOINT_IO");
  }
  const StatusOr<checkpoint::Saved> saved = checkpoint::Save(options, identity_, StateOf(*trainer_));
  if (!saved.ok()) return WithFileClass(saved.status(), "CHECKPOINT_IO");
  return WithClass(
      reporter_.Write(records::Checkpoint{step_, saved->path, saved->manifest_sha256, saved->size_bytes}),
      "CHECKPOINT_IO");
}

Status TrainRun::Evaluate() {
  if (cache_->holdout_samples() > 0) RETURN_IF_ERROR(TellLoss(trainer_->EvaluateHoldout(step_)));
  for (const HeldOutFile& file : held_out_)
    RETURN_IF_ERROR(TellLoss(trainer_->EvaluateSamples(step_, file.name, file.samples)));
  return AnswerPrompts();
}

// Where nothing counts there is nothing to tell.
Status TrainRun::TellLoss(const StatusOr<records::Eval>& eval) {
  if (IsOfADisk(eval.status())) return WithFileClass(eval.status(), "CHECKPOINT_IO");
  if (absl::IsNotFound(eval.status())) return absl::OkStatus();
  if (!eval.ok()) return WithExchangeClass(eval.status(), "UNKNOWN_EXIT");
  return is_rank0() ? WithClass(reporter_.Write(*eval), "CHECKPOINT_IO") : absl::OkStatus();
}

Status TrainRun::AnswerPrompts() {
  if (!samples_) return absl::OkStatus();
  const auto beat = [this](std::string_view) { reporter_.Beat("generate"); };
  std::vector<records::Sample> samples;
  const Status answered = shard::CatchUnavailable([&]() -> Status {
    ASSIGN_OR_RETURN(samples, samples_->Answer(*model_, step_, beat));
    return absl::OkStatus();
  });
  if (!answered.ok()) return WithFileClass(answered, "CONFIG");
  if (!is_rank0()) return absl::OkStatus();
  for (records::Sample& sample : samples)
    RETURN_IF_ERROR(WithClass(reporter_.Write(std::move(sample)), "CHECKPOINT_IO"));
  return absl::OkStatus();
}

// At the end of each epoch, as XTuner does, and of the job.
bool TrainRun::BenchmarksDue() const {
  if (!benchmarks_ || step_ == 0) return false;
  const data::BatchSampler& order = trainer_->order();
  return step_ == trainer_->total_steps() || order.EpochsEnded(step_) > order.EpochsEnded(step_ - 1);
}

// A rank that is asked to stop meanwhile does so, and who goes on answers from the beginning; at the end of the job it answers first.
Status TrainRun::AnswerBenchmarks() {
  const auto goes_on = [this]() -> StatusOr<bool> {
    ASSIGN_OR_RETURN(const Control::Commands commands, AgreeOnCommands());
    checkpoint_asked_ |= commands.checkpoint;
    return !commands.stop || step_ == trainer_->total_steps();
  };
  const auto beat = [this] { reporter_.Beat("evaluate"); };
  std::vector<records::Score> scores;
  RETURN_IF_ERROR(WithExchangeClass(shard::CatchUnavailable([&]() -> Status {
                                      ASSIGN_OR_RETURN(
                                          scores, benchmarks_->Answer(*model_, step_, *comm_, beat, goes_on));
                                      return absl::OkStatus();
                                    }),
                                    "CONFIG"));
  if (!is_rank0()) return absl::OkStatus();
  for (records::Score& score : scores)
    RETURN_IF_ERROR(WithClass(reporter_.Write(std::move(score)), "CHECKPOINT_IO"));
  return absl::OkStatus();
}

std::function<void(int64_t)> TrainRun::Progress(const char* phase) {
  return [this, phase](int64_t bytes) { reporter_.Wrote(phase, bytes); };
}

StatusOr<std::string> TrainRun::WriteModel() {
  const std::filesystem::path model = spec_.model.source, out = attempt_.dir / "adapter";
  ASSIGN_OR_RETURN(const checkpoint::WrittenModel written,
                   checkpoint::WriteTrainedModel({.model = model,
                                                  .out = out,
                                                  .config = &model_->config(),
                                                  .text = TextOf(spec_),
                                                  .progress = Progress("write"),
                                                  .values = Values()},
                                                 model_->store()));
  // A .gguf file holds its tokenizer; the result must have one too.
  if (model.extension() == ".gguf") RETURN_IF_ERROR(prepare::WriteTokenizerFiles(model, out));
  return written.sha256;
}

// PEFT ties a saved embedding to the head only where it is told so, and needs it where both are one.
params::AdapterKind WrittenKind(const recipe::MethodSpec& method, const model::DecoderConfig& config) {
  return AdapterKindOf(method, config.tied_head && !method.modules_to_save.empty());
}

StatusOr<std::string> TrainRun::WriteOutput() {
  reporter_.Beat("write");
  if (spec_.method.kind == "full") return WriteModel();
  const params::PeftConfig config{.rank = spec_.method.rank,
                                  .alpha = spec_.method.alpha,
                                  .dropout = spec_.method.dropout,
                                  .kind = WrittenKind(spec_.method, model_->config()),
                                  .targets = model_->adapted(),
                                  .base_model = spec_.model.source};
  ASSIGN_OR_RETURN(const checkpoint::WrittenAdapter written,
                   checkpoint::WriteAdapter({.dir = attempt_.dir / "adapter",
                                             .config = config,
                                             .text = TextOf(spec_),
                                             .progress = Progress("write"),
                                             .layout = model::LayoutOf(model_->config()),
                                             .values = Values()},
                                            model_->store()));
  return written.sha256;
}

records::Result TrainRun::Serve() {
  const Status served = WithExchangeClass(trainer_->state().ServeValues(), "UNKNOWN_EXIT");
  if (!served.ok()) return Failed(served, step_);
  return {.state = records::ResultState::kSucceeded, .step = step_};
}

checkpoint::ReadValue TrainRun::Values() {
  return [this](int index) { return trainer_->state().WholeValue(index); };
}

records::Result TrainRun::Finish() {
  const StatusOr<std::string> sha256 = WriteOutput();
  if (!sha256.ok()) return Failed(WithFileClass(sha256.status(), "CHECKPOINT_IO"), step_);
  if (const Status ended = WithExchangeClass(trainer_->state().EndServing(), "CHECKPOINT_IO"); !ended.ok())
    return Failed(ended, step_);
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
