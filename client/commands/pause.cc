// ftctl pause and ftctl resume: free the devices with a checkpoint, and go on from it.
#include "client/commands/commands.h"
#include "client/commands/job_action.h"
#include "client/commands/verb.h"
#include "client/follow/follow.h"

namespace ft::client {
namespace {

StatusOr<int> ShowOrWait(const JobActionOptions& options, Session& session, const v1::Job& job) {
  if (!options.wait) {
    PrintNow(session, job);
    return kExitOk;
  }
  ASSIGN_OR_RETURN(const Followed followed, Follow(session, job, {}));
  return Conclude(session, followed);
}

StatusOr<int> Pause(const JobActionOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::PauseJobRequest request, RequestFor<v1::PauseJobRequest>(session, options.job));
  ASSIGN_OR_RETURN(const v1::Job job, session.Call(&v1::JobService::Stub::PauseJob, request));
  return ShowOrWait(options, session, job);
}

StatusOr<int> Resume(const JobActionOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::ResumeJobRequest request,
                   RequestFor<v1::ResumeJobRequest>(session, options.job));
  ASSIGN_OR_RETURN(const v1::Job job, session.Call(&v1::JobService::Stub::ResumeJob, request));
  return ShowOrWait(options, session, job);
}

}  // namespace

void AddPause(CLI::App& root, Session& session) {
  auto options = std::make_shared<JobActionOptions>();
  CLI::App* verb =
      root.add_subcommand("pause", "Take a checkpoint and free the devices")->group(kGroupJobAction);
  AddJobArgument(verb, options->job);
  verb->add_flag("--wait", options->wait, "Until it is paused");
  SetAction(verb, options, session, Pause);
}

void AddResume(CLI::App& root, Session& session) {
  auto options = std::make_shared<JobActionOptions>();
  CLI::App* verb =
      root.add_subcommand("resume", "Go on with a paused job from its checkpoint")->group(kGroupJobAction);
  AddJobArgument(verb, options->job);
  verb->add_flag("--wait", options->wait, "Follow it to its end");
  SetAction(verb, options, session, Resume);
}

}  // namespace ft::client
