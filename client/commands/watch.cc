// ftctl watch: a job while it trains.
#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/follow/follow.h"

namespace ft::client {
namespace {

struct WatchOptions {
  std::string job;
};

StatusOr<int> Watch(const WatchOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::Job job, session.GetJob(options.job));
  ASSIGN_OR_RETURN(const Followed followed, Follow(session, job, {}));
  return Conclude(session, followed);
}

}  // namespace

void AddWatch(CLI::App& root, Session& session) {
  auto options = std::make_shared<WatchOptions>();
  CLI::App* verb =
      root.add_subcommand("watch", "Progress, loss curve, speed and time left")->group(kGroupLook);
  AddJobArgument(verb, options->job);
  verb->footer("Ctrl-C stops watching; the job goes on. Ends with the job, with its exit status.");
  SetAction(verb, options, session, Watch);
}

}  // namespace ft::client
