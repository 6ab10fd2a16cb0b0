// ftctl delete: removes an ended job and its files.
#include "client/commands/commands.h"
#include "client/commands/job_action.h"
#include "client/commands/verb.h"

namespace ft::client {
namespace {

StatusOr<int> Delete(const JobActionOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::DeleteJobRequest request,
                   RequestFor<v1::DeleteJobRequest>(session, options.job));
  const StatusOr<v1::DeleteJobResponse> response = session.Call(&v1::JobService::Stub::DeleteJob, request);
  if (!response.ok()) return response.status();
  if (session.json()) {
    Print(ToJsonText(*response));
  } else {
    PrintLine(session.Localized(Text::kDeleted, options.job));
  }
  return kExitOk;
}

}  // namespace

void AddDelete(CLI::App& root, Session& session) {
  auto options = std::make_shared<JobActionOptions>();
  CLI::App* verb =
      root.add_subcommand("delete", "Remove an ended job and all its files")->group(kGroupJobAction);
  AddJobArgument(verb, options->job);
  verb->footer("Checkpoints and adapter go too: `ftctl export JOB DIR` first keeps the adapter.");
  SetAction(verb, options, session, Delete);
}

}  // namespace ft::client
