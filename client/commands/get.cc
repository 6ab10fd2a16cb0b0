// ftctl get: one job in full.
#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/job/model_config.h"
#include "client/job/outline.h"
#include "client/render/sentences.h"
#include "client/render/table.h"
#include "client/render/templates.h"
#include "client/render/units.h"
#include "client/render/width.h"
#include "client/session/output.h"
#include "client/stored/stored_job.h"
#include "core/recipe/parse.h"

namespace ft::client {
namespace {

struct GetOptions {
  std::string job;
  bool config = false;
  bool resolved = false;
};

std::string ProgressText(const Session& session, const v1::JobProgress& progress) {
  std::string phase = PhraseInLanguage(session.terminal, PhaseWords(), progress.phase());
  if (progress.phase_total_bytes() > 0) {
    phase = session.Localized(Text::kBytesOf, phase, FormatBytes(progress.phase_bytes()),
                              FormatBytes(progress.phase_total_bytes()));
  }
  if (progress.total_steps() == 0) return phase;
  std::string text = session.Localized(Text::kStepOf, progress.step(), progress.total_steps());
  if (progress.step() > 0) text = session.Localized(Text::kWithLoss, text, FormatLoss(progress.loss()));
  if (progress.has_eval_loss())
    text = session.Localized(Text::kWithHeldOutLoss, text, FormatLoss(progress.eval_loss()));
  return phase.empty() ? text : session.Localized(Text::kWithPhase, text, phase);
}

std::string FailureText(const Session& session, const v1::Job& job) {
  if (!job.has_failure()) return std::string();
  const std::string text =
      session.Localized(Text::kState, v1::FailureClass_Name(job.failure().failure_class()),
                        session.InLanguage(job.failure().message()));
  if (job.failure().node_id().empty()) return text;
  return session.Localized(Text::kOfRank, text, job.failure().rank(), job.failure().node_id());
}

std::string DataText(const Session& session, const v1::Job& job) {
  if (!job.has_prepared() || job.prepared().samples() == 0) return std::string();
  return DataReport(session, job.prepared());
}

// A run that failed does not hide that an earlier one of the name has a result.
void TellEarlierResult(Session& session, const v1::Job& job) {
  if (job.state() != v1::FAILED && job.state() != v1::CANCELLED) return;
  if (job.display_name().empty()) return;
  const StatusOr<v1::Job> earlier = session.NewestSucceeded(job.display_name());
  if (earlier.ok()) PrintNotice(session.Localized(Text::kEarlierResult, CallName(job), JobId(*earlier)));
}

std::string CheckpointText(const Session& session, const v1::JobProgress& progress) {
  if (progress.checkpoint_step() <= 0) return std::string();
  return session.Localized(Text::kAtStep, progress.checkpoint_step());
}

std::string EvaluationText(const Session& session, const v1::Evaluation& evaluation) {
  const std::string result = evaluation.questions() > 0
                                 ? session.Localized(Text::kScore, fmt::format("{:.1f}", evaluation.score()),
                                                     FormatCount(evaluation.questions()))
                                 : session.Localized(Text::kLossAndPerplexity, FormatLoss(evaluation.loss()),
                                                     FormatPerplexity(evaluation.loss()));
  return session.Localized(Text::kEvaluationAt, Printable(evaluation.name()), evaluation.step(), result);
}

// What a rank takes by part, as the plan has it; nothing where the model is not at hand, or its rank alone knows on which device it is.
std::string MemoryOf(const v1::Job& job) {
  const StatusOr<recipe::JobSpec> spec = recipe::ParseJob(job.resolved_config_json(), "job");
  if (!spec.ok() || spec->resources.device == "auto") return std::string();
  const StatusOr<ModelConfig> config = ModelConfigOf({.file_name = "job"}, *spec);
  if (!config.ok()) return std::string();
  const StatusOr<Outline> outline = OutlineOf(*spec, config->text, config->file, /*records=*/0);
  return outline.ok() ? MemoryText(*outline) : std::string();
}

void Show(const Session& session, const v1::Job& job) {
  const bool is_known = job.state() != v1::JOB_STATE_UNSPECIFIED;
  std::vector<std::pair<Text, std::string>> fields = {
      {Text::kFieldName, job.display_name()},
      {Text::kFieldId, JobId(job)},
      {Text::kFieldState, is_known ? StateName(session, job.state()) : "-"},
      {Text::kFieldWhy, session.InLanguage(job.state_message())},
      {Text::kFieldContact, job.contact_lost() ? session.Localized(Text::kContactIsLost) : ""},
      {Text::kFieldFailure, FailureText(session, job)},
      {Text::kFieldProgress, ProgressText(session, job.progress())},
      {Text::kFieldCheckpoint, CheckpointText(session, job.progress())},
      {Text::kFieldAttempts, StrCat(job.epoch())},
      {Text::kFieldCreated, LocalTime(job.create_time())},
      {Text::kFieldStarted, LocalTime(job.start_time())},
      {Text::kFieldEnded, LocalTime(job.end_time())},
      {Text::kFieldRunFolder, job.run_dir()},
      {Text::kFieldAdapter, job.result().adapter_dir()},
      {Text::kFieldSha256, job.result().adapter_sha256()}};
  for (const v1::Evaluation& evaluation : job.progress().evaluations())
    fields.emplace_back(Text::kFieldEvaluation, EvaluationText(session, evaluation));
  Print(RenderFields(session.terminal, fields));
  const std::string data = DataText(session, job);
  if (!data.empty()) PrintLine(data);
  for (const std::string& line : job.prepared().report())
    PrintLine(StrCat("  ", ReportInLanguage(session.terminal, line)));
  Print(PlanInLanguage(session.terminal, MemoryOf(job)));
}

// What the files of this user's own job show while no coordinator runs; `why` where there are none.
StatusOr<int> GetFiles(const GetOptions& options, Session& session, const Status& why) {
  if (!FilesMayAnswer(session, why) || options.config) return why;
  ASSIGN_OR_RETURN(const RunFolder run, StoredRun(session, options.job, why));
  const v1::Job job = StoredJob(run, /*full=*/true);
  PrintNotice(session.Localized(Text::kFromFiles, PrivateRuns(session).string()));
  if (options.resolved) {
    PrintLine(job.resolved_config_json());
  } else if (session.json()) {
    Print(ToJsonText(job));
  } else {
    Show(session, job);
    const StatusOr<RunFolder> best = FindRunByName(PrivateRuns(session), run.name);
    const bool is_earlier = run.adapter.empty() && best.ok() && !best->adapter.empty();
    if (is_earlier)
      PrintNotice(session.Localized(Text::kEarlierResult, run.name, best->run_dir.filename().string()));
  }
  return kExitOk;
}

StatusOr<int> Get(const GetOptions& options, Session& session) {
  const StatusOr<v1::Job> found = session.GetJob(options.job);
  if (!found.ok()) return GetFiles(options, session, found.status());
  const v1::Job& job = *found;
  if (options.config || options.resolved) {
    PrintLine(options.config ? job.config_yaml() : job.resolved_config_json());
    return kExitOk;
  }
  if (session.json()) {
    Print(ToJsonText(job));
    return kExitOk;
  }
  Show(session, job);
  TellEarlierResult(session, job);
  return kExitOk;
}

}  // namespace

void AddGet(CLI::App& root, Session& session) {
  auto options = std::make_shared<GetOptions>();
  CLI::App* verb = root.add_subcommand("get", "One job: state, progress, data, result")->group(kGroupLook);
  AddJobArgument(verb, options->job);
  CLI::Option* config = verb->add_flag("--config", options->config, "Print the job file as it was given");
  verb->add_flag("--resolved", options->resolved, "Print the settings with every default")->excludes(config);
  verb->footer(
      "Examples:\n  ftctl get qa\n  ftctl get qa --config > job.yaml      start another one from it");
  SetAction(verb, options, session, Get);
}

}  // namespace ft::client
