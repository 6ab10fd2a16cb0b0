// ftctl run: from the user's file to a tuned model with nothing set up before.
#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/daemons/launch.h"
#include "client/daemons/private_daemons.h"
#include "client/follow/follow.h"
#include "client/job/data_digest.h"
#include "client/render/table.h"
#include "client/session/interrupts.h"
#include "client/session/output.h"
#include "client/transfer/hub_sources.h"
#include "client/transfer/submit_job.h"
#include "core/base/shell_quote.h"
#include "core/recipe/json.h"
#include "core/recipe/parse.h"

namespace ft::client {
namespace {

constexpr std::chrono::minutes kPlanTimeout{10};
constexpr const char* kDataLabel = "data-sha256";

struct RunOptions {
  std::string file;
  QuickJob quick;
  Submission submission;
  bool no_plan = false;
};

StatusOr<JobText> TextOf(const RunOptions& options) {
  const bool has_parts = !options.quick.model.empty() || !options.quick.data.empty();
  if (!options.file.empty() && has_parts) {
    // A second data file without its option lands in the job file's place, and then its own refusal says what it is.
    RETURN_IF_ERROR(ReadJobText(options.file).status());
    return absl::InvalidArgumentError("give a job file or --model and --data, not both");
  }
  if (!options.file.empty()) {
    ASSIGN_OR_RETURN(JobText text, ReadJobText(options.file));
    if (!options.quick.name.empty()) {
      ASSIGN_OR_RETURN(text.yaml, recipe::WithOverrides(text.yaml, {StrCat("name=", options.quick.name)}));
    }
    return text;
  }
  if (options.quick.model.empty() || options.quick.data.empty()) {
    return absl::InvalidArgumentError("give --model DIR and --data FILE, or a job file");
  }
  return QuickJobText(options.quick, std::filesystem::current_path());
}

// "a, b, c, ..."
std::string Listed(const std::vector<std::string>& names) {
  constexpr size_t kMost = 3;
  std::string text;
  for (size_t i = 0; i < std::min(kMost, names.size()); ++i) StrAppend(&text, i == 0 ? "" : ", ", names[i]);
  if (names.size() > kMost) StrAppend(&text, ", ...");
  return text;
}

// What a program said when it refused, as a sentence of ours.
std::string Reason(std::string_view said) {
  constexpr std::string_view kPrefix = "ft-rank plan: ";
  const size_t begin = said.rfind(kPrefix);
  if (begin != std::string_view::npos) said.remove_prefix(begin + kPrefix.size());
  return std::string(said.substr(0, said.find_last_not_of('\n') + 1));
}

// Settings with their reasons, memory and time, from `ft-rank plan`. FAILED_PRECONDITION with its sentence when it refuses
// data or model: the job's preparation would refuse them for the same reason. Without an answer the job goes on.
Status ShowPlan(Session& session, const recipe::JobSpec& spec) {
  const StatusOr<recipe::JobSpec> local = WithLocalSources(session, spec);
  if (absl::IsUnavailable(local.status())) {
    // The node that runs the job may reach what this machine does not.
    PrintNotice(session.InLanguage(Message(local.status())));
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(local.status());
  const auto program = ProgramBeside(session, "ft-rank");
  const auto file = PassedFile(recipe::ToJson(*local));
  if (!program.ok() || !file.ok()) return absl::OkStatus();
  const std::string cache = (session.data_dir / "worker" / "cache").string();
  const auto plan = OutputOf(*program, {"plan", "--spec", *file, "--cache", cache}, kPlanTimeout);
  if (!plan.ok()) return absl::OkStatus();
  if (plan->exit_status == 0)
    Print(WrapLines(PlanInLanguage(session.terminal, plan->text), session.terminal));
  const bool refused = plan->exit_status == 1 || plan->exit_status == 2;
  return refused ? absl::FailedPreconditionError(Reason(plan->text)) : absl::OkStatus();
}

// Whether two job files say the same, however they are written.
bool SaysTheSame(const std::string& a, const std::string& b) {
  const auto first = recipe::ParseJob(a, "a");
  const auto second = recipe::ParseJob(b, "b");
  return first.ok() && second.ok() && recipe::ToJson(*first) == recipe::ToJson(*second);
}

bool IsPausedOrPausing(const v1::Job& job) { return job.state() == v1::PAUSED || job.state() == v1::PAUSING; }

StatusOr<v1::Job> Resume(Session& session, v1::Job job) {
  if (job.state() == v1::PAUSING) {
    ASSIGN_OR_RETURN(Followed followed, Follow(session, job, {}));
    job = std::move(followed.job);
  }
  if (job.state() != v1::PAUSED) return job;
  PrintNotice(session.Localized(Text::kResuming, CallName(job), job.progress().checkpoint_step()));
  v1::ResumeJobRequest request;
  request.set_name(job.name());
  request.set_request_id(NewRequestId());
  return session.Call(&v1::JobService::Stub::ResumeJob, request);
}

// Says so when data of a job that goes on were changed since it began.
void TellChangedData(const Session& session, const recipe::JobSpec& spec, const v1::Job& job) {
  const auto began_with = job.labels().find(kDataLabel);
  if (began_with == job.labels().end()) return;
  const std::vector<std::string> changed = ChangedData(spec, began_with->second);
  if (changed.empty()) return;
  PrintNotice(session.Localized(Text::kDataChanged, ShellQuoted(CallName(job)), Listed(changed)));
}

// The unfinished job that an earlier run of the same command left, or a new one.
StatusOr<v1::Job> FindOrSubmit(const RunOptions& options, Session& session, const JobText& text,
                               const recipe::JobSpec& spec) {
  StatusOr<v1::Job> found = absl::NotFoundError("");  // A job without a name is always new.
  if (!spec.name.empty()) found = session.GetJob(spec.name);
  if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
  if (found.ok() && !HasEnded(found->state())) {
    ASSIGN_OR_RETURN(const std::string yaml, FindablePaths(session, text));
    if (SaysTheSame(yaml, found->config_yaml())) {
      TellChangedData(session, spec, *found);
      return Resume(session, *found);
    }
    if (IsPausedOrPausing(*found)) {
      return absl::FailedPreconditionError(
          session.Localized(Text::kPausedElsewise, ShellQuoted(CallName(*found))));
    }
  }
  if (!options.no_plan && !session.json()) RETURN_IF_ERROR(ShowPlan(session, spec));
  Submission submission = options.submission;
  submission.labels[kDataLabel] = DataDigests(spec);
  submission.sets.clear();  // They are in the text already.
  ASSIGN_OR_RETURN(v1::Job job, SubmitJob(session, text, submission));
  PrintNotice(session.Localized(Text::kSubmitted, CallName(job), JobId(job)));
  return job;
}

// `followed` is how far it came, whatever the outcome.
StatusOr<int> FollowToEnd(const RunOptions& options, Session& session, const JobText& text,
                          Followed& followed) {
  ASSIGN_OR_RETURN(const recipe::JobSpec spec, recipe::ParseJob(text.yaml, text.file_name, text.has_lines));
  ASSIGN_OR_RETURN(followed.job, FindOrSubmit(options, session, text, spec));
  ASSIGN_OR_RETURN(followed, Follow(session, followed.job, {.pause_on_interrupt = true}));
  if (followed.disk_full && followed.interrupted && !HasEnded(followed.job.state())) {
    PrintNotice(session.Localized(Text::kDiskFullLeave, ShellQuoted(CallName(followed.job))));
    return kExitFailed;
  }
  if (followed.interrupted && !HasEnded(followed.job.state())) {
    if (followed.job.state() == v1::PAUSED) {
      PrintNotice(session.Localized(Text::kRunInterrupted, CallName(followed.job),
                                    followed.job.progress().checkpoint_step()));
    }
    PrintNotice(session.Localized(Text::kRunAgain));
    return kExitFailed;
  }
  const int exit_status = Conclude(session, followed);
  if (followed.job.state() == v1::SUCCEEDED)
    PrintNotice(session.Localized(Text::kNext, ShellQuoted(CallName(followed.job))));
  return exit_status;
}

// Jobs beside this run's own that the daemons still work for.
std::vector<std::string> UnfinishedOthers(Session& session, const v1::Job& own) {
  std::vector<std::string> names;
  const StatusOr<std::vector<v1::Job>> jobs = session.ListJobs();
  if (!jobs.ok()) return names;
  for (const v1::Job& job : *jobs) {
    if (!HasEnded(job.state()) && job.state() != v1::PAUSED && job.name() != own.name())
      names.push_back(CallName(job));
  }
  return names;
}

// Stops the daemons that runs started, unless somebody needs them.
void StopUnlessUsed(Session& session, DaemonUse& use, const Followed& followed) {
  if (RunningPid(PrivateLayout(session.data_dir).coordinator) == 0) return;
  std::vector<std::string> users = UnfinishedOthers(session, followed.job);
  switch (use.End(session)) {
    case DaemonUse::Ending::kKept: return;
    case DaemonUse::Ending::kInUse:
      if (users.empty()) users.push_back(session.Localized(Text::kAnotherRun));
      break;
    case DaemonUse::Ending::kLast: break;
  }
  if (!users.empty()) {
    PrintNotice(session.Localized(Text::kLeftRunning, Listed(users)));
    return;
  }
  const StatusOr<std::vector<std::string>> stopped =
      StopPrivateDaemons(session, {.hurry = followed.disk_full});
  if (!stopped.ok()) PrintNotice(session.InLanguage(Message(stopped.status())));
}

// On daemons of this user's own, which are started where they do not run.
StatusOr<int> RunPrivately(const RunOptions& options, Session& session, JobText& text,
                           const Interrupts& interrupts) {
  // Before anything starts: a wrong path shall not cost a start.
  ASSIGN_OR_RETURN(text.yaml, WithAbsolutePaths(text));
  RETURN_IF_ERROR(session.ServerAddress().status());
  ASSIGN_OR_RETURN(DaemonUse use, DaemonUse::Begin(session));
  PrintNotice(session.Localized(Text::kStarting, session.data_dir.string()));
  ASSIGN_OR_RETURN(const Started daemons, StartPrivateDaemons(session, {}));
  const Status noted = use.Started(session, daemons);
  if (!noted.ok()) PrintNotice(session.InLanguage(Message(noted)));
  if (!daemons.needs_uncordon.empty())
    PrintNotice(session.Localized(Text::kNeedsUncordon, daemons.needs_uncordon));
  StatusOr<int> outcome = kExitFailed;
  Followed followed;
  if (interrupts.count() == 0) outcome = FollowToEnd(options, session, text, followed);
  StopUnlessUsed(session, use, followed);
  return outcome;
}

StatusOr<int> Run(const RunOptions& options, Session& session) {
  ASSIGN_OR_RETURN(JobText text, TextOf(options));
  RETURN_IF_ERROR(CheckJob(text, options.submission.sets).status());
  TellRemarks(session, text);
  // From here on Ctrl-C must not leave behind what is started.
  const Interrupts interrupts;
  if (session.server.empty()) return RunPrivately(options, session, text, interrupts);
  Followed followed;
  return FollowToEnd(options, session, text, followed);
}

}  // namespace

void AddRun(CLI::App& root, Session& session) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* verb = root.add_subcommand("run", "Train on your own file; no daemon needed")->group(kGroupTrain);
  verb->add_option("FILE", options->file, "Job file or recipe, instead of --model and --data")->type_name("");
  verb->add_option("--model", options->quick.model,
                   "Folder in Hugging Face layout, .gguf file, hf:// address")
      ->type_name("DIR");
  verb->add_option("--data", options->quick.data, "xlsx, csv, json, jsonl, txt or parquet; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  verb->add_option("--name", options->quick.name, "Name of the job (the data file's)")->type_name("NAME");
  AddChanges(verb, options->submission.sets);
  verb->add_flag("--no-plan", options->no_plan, "Start without showing the plan");
  verb->footer(
      "Starts a private coordinator and worker if none runs; the last run stops them.\n"
      "Ctrl-C saves a checkpoint and stops; the same command goes on from there.\n"
      "Examples:\n"
      "  ftctl run --model ./SmolLM2-135M-Instruct --data qa.xlsx\n"
      "  ftctl run --model m.gguf --data qa.csv --name faq --set train.epochs=1\n"
      "  ftctl run --model m.gguf --data qa.csv --map input=Ask,output=Reply");
  SetAction(verb, options, session, Run);
}

}  // namespace ft::client
