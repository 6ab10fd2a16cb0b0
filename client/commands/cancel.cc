// ftctl cancel: ends a job for good.
#include "client/commands/commands.h"
#include "client/commands/job_action.h"
#include "client/commands/verb.h"

namespace ft::client {
namespace {

StatusOr<int> Cancel(const JobActionOptions& options, Session& session) {
  ASSIGN_OR_RETURN(v1::CancelJobRequest request, RequestFor<v1::CancelJobRequest>(session, options.job));
  request.set_reason(options.reason);
  ASSIGN_OR_RETURN(const v1::Job job, session.Call(&v1::JobService::Stub::CancelJob, request));
  PrintNow(session, job);
  return kExitOk;
}

}  // namespace

void AddCancel(CLI::App& root, Session& session) {
  auto options = std::make_shared<JobActionOptions>();
  CLI::App* verb = root.add_subcommand("cancel", "End a job for good")->group(kGroupJobAction);
  AddJobArgument(verb, options->job);
  verb->add_option("--reason", options->reason, "Kept with the job")->type_name("TEXT");
  verb->footer("Its checkpoints stay until `ftctl delete`. To go on later, use `ftctl pause`.");
  SetAction(verb, options, session, Cancel);
}

}  // namespace ft::client
