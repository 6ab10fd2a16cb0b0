// ftctl submit: a job file to the coordinator.
#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/follow/follow.h"
#include "client/session/output.h"
#include "client/transfer/submit_job.h"
#include "core/base/shell_quote.h"

namespace ft::client {
namespace {

struct SubmitOptions {
  std::string file;
  bool wait = false;
  Submission submission;
};

StatusOr<int> Submit(const SubmitOptions& options, Session& session) {
  ASSIGN_OR_RETURN(JobText text, ReadJobText(options.file));
  ASSIGN_OR_RETURN(const v1::Job job, SubmitJob(session, std::move(text), options.submission));
  if (options.submission.validate_only) {
    PrintLine(job.resolved_config_json());
    return kExitOk;
  }
  if (options.wait) {
    PrintNotice(session.Localized(Text::kSubmitted, CallName(job), JobId(job)));
    ASSIGN_OR_RETURN(const Followed followed, Follow(session, job, {}));
    return Conclude(session, followed);
  }
  if (session.json()) {
    Print(ToJsonText(job));
    return kExitOk;
  }
  // The id alone on standard output, for scripts; the rest is for people.
  PrintNotice(session.Localized(Text::kSubmitted, CallName(job), JobId(job)));
  PrintLine(JobId(job));
  PrintNotice(session.Localized(Text::kWatchHint, ShellQuoted(CallName(job))));
  return kExitOk;
}

}  // namespace

void AddSubmit(CLI::App& root, Session& session) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* verb = root.add_subcommand("submit", "Send a job file to the coordinator")->group(kGroupTrain);
  verb->add_option("FILE", options->file, "Job file, recipe, or - for standard input")
      ->required()
      ->type_name("");
  AddChanges(verb, options->submission.sets);
  verb->add_flag("--wait", options->wait, "Follow it; the exit status is the job's");
  verb->add_flag("--validate", options->submission.validate_only,
                 "Check and print all settings, start nothing");
  verb->add_option("--request-id", options->submission.request_id, "Repeat an attempt whose answer was lost")
      ->type_name("UUID");
  verb->footer(
      "Paths in the file are relative to the file. Prints the job's id.\n"
      "Examples:\n"
      "  ftctl submit job.yaml --wait\n"
      "  ftctl submit job.yaml --set train.epochs=1 --set method.rank=16\n"
      "  ftctl submit llama2_7b_qlora_sql_e3 --set model.source=./Llama-2-7b-hf");
  SetAction(verb, options, session, Submit);
}

}  // namespace ft::client
