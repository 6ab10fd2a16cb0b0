// ftctl run: from the user's file to a tuned model with nothing set up before.
#include <filesystem>
#include <utility>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/follow.h"
#include "client/commands/interrupts.h"
#include "client/commands/launch.h"
#include "client/commands/output.h"
#include "client/commands/private_daemons.h"
#include "client/commands/submit_job.h"
#include "client/commands/verb.h"
#include "core/recipe/json.h"
#include "core/recipe/parse.h"

namespace ft::client {
namespace {

constexpr std::chrono::minutes kPlanTimeout{10};

struct RunOptions {
  std::string file;
  QuickJob quick;
  Submission submission;
  bool no_plan = false;
};

StatusOr<JobText> TextOf(const RunOptions& options) {
  const bool has_parts = !options.quick.model.empty() || !options.quick.data.empty();
  if (!options.file.empty() && has_parts) {
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

// Settings with their reasons, memory and time, from `ft-rank plan`. Without an answer the job goes on: its preparation
// checks the same things and refuses with the same sentences.
void ShowPlan(const Session& session, const recipe::JobSpec& spec) {
  const auto program = ProgramBeside(session, "ft-rank");
  const auto file = PassedFile(recipe::ToJson(spec));
  if (!program.ok() || !file.ok()) return;
  const std::string cache = (session.data_dir / "worker" / "cache").string();
  const auto plan = OutputOf(*program, {"plan", "--spec", *file, "--cache", cache}, kPlanTimeout);
  if (plan.ok() && plan->exit_status == 0) Print(plan->text);
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
  Remark(session.Say(Text::kResuming, CallName(job), job.progress().checkpoint_step()));
  v1::ResumeJobRequest request;
  request.set_name(job.name());
  request.set_request_id(NewRequestId());
  return session.Call(&v1::JobService::Stub::ResumeJob, request);
}

// The unfinished job that an earlier run of the same command left, or a new one.
StatusOr<v1::Job> FindOrSubmit(const RunOptions& options, Session& session, const JobText& text,
                               const recipe::JobSpec& spec) {
  StatusOr<v1::Job> found = absl::NotFoundError("a job without a name is always new");
  if (!spec.name.empty()) found = session.GetJob(spec.name);
  if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
  if (found.ok() && !HasEnded(found->state())) {
    ASSIGN_OR_RETURN(const std::string yaml, FindablePaths(session, text));
    if (SaysTheSame(yaml, found->config_yaml())) return Resume(session, *found);
    if (IsPausedOrPausing(*found)) {
      return absl::FailedPreconditionError(session.Say(Text::kPausedElsewise, CallName(*found)));
    }
  }
  if (!options.no_plan && !session.json()) ShowPlan(session, spec);
  Submission submission = options.submission;
  submission.sets.clear();  // They are in the text already.
  ASSIGN_OR_RETURN(v1::Job job, SubmitJob(session, text, submission));
  Remark(session.Say(Text::kSubmitted, CallName(job), JobId(job)));
  return job;
}

StatusOr<int> FollowToEnd(const RunOptions& options, Session& session, const JobText& text) {
  ASSIGN_OR_RETURN(const recipe::JobSpec spec, recipe::ParseJob(text.yaml, text.file_name));
  ASSIGN_OR_RETURN(const v1::Job job, FindOrSubmit(options, session, text, spec));
  ASSIGN_OR_RETURN(const Followed followed, Follow(session, job, {.pause_on_interrupt = true}));
  if (followed.interrupted && !HasEnded(followed.job.state())) {
    if (followed.job.state() == v1::PAUSED) {
      Remark(session.Say(Text::kRunInterrupted, CallName(followed.job), followed.job.progress().checkpoint_step()));
    }
    Remark(session.Say(Text::kRunAgain));
    return kExitFailed;
  }
  const int exit_status = Conclude(session, followed);
  if (followed.job.state() == v1::SUCCEEDED) Remark(session.Say(Text::kNext, CallName(followed.job)));
  return exit_status;
}

StatusOr<int> Run(const RunOptions& options, Session& session) {
  ASSIGN_OR_RETURN(JobText text, TextOf(options));
  RETURN_IF_ERROR(CheckJob(text, options.submission.sets).status());
  // From here on Ctrl-C must not leave behind what is started.
  const Interrupts interrupts;
  bool started = false;
  if (session.server.empty()) {
    // Before anything starts: a wrong path shall not cost a start.
    ASSIGN_OR_RETURN(text.yaml, WithAbsolutePaths(text));
    Remark(session.Say(Text::kStarting, session.data_dir.string()));
    ASSIGN_OR_RETURN(const Started daemons, StartPrivateDaemons(session, {}));
    started = daemons.any();
  }
  StatusOr<int> outcome = kExitFailed;
  if (interrupts.count() == 0) outcome = FollowToEnd(options, session, text);
  if (started) {
    const StatusOr<std::vector<std::string>> stopped = StopPrivateDaemons(session);
    if (!stopped.ok()) Remark(Message(stopped.status()));
  }
  return outcome;
}

}  // namespace

void AddRun(CLI::App& root, Session& session) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* verb = root.add_subcommand("run", "Train on your own file; no daemon needed")->group(kGroupTrain);
  verb->add_option("FILE", options->file, "Job file, instead of --model and --data")->type_name("");
  verb->add_option("--model", options->quick.model, "Folder in Hugging Face layout, or .gguf file")->type_name("DIR");
  verb->add_option("--data", options->quick.data, "xlsx, csv, json, jsonl or txt; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  verb->add_option("--name", options->quick.name, "Name of the job (the data file's)")->type_name("NAME");
  verb->add_option("--set", options->submission.sets, "Change one setting; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  verb->add_flag("--no-plan", options->no_plan, "Start without showing the plan");
  verb->footer(
      "Starts a private coordinator and worker if none runs, and stops what it started.\n"
      "Ctrl-C saves a checkpoint and stops; the same command goes on from there.\n"
      "Examples:\n"
      "  ftctl run --model ./SmolLM2-135M-Instruct --data qa.xlsx\n"
      "  ftctl run --model m.gguf --data qa.csv --name faq --set train.epochs=1");
  SetAction(verb, options, session, Run);
}

}  // namespace ft::client
