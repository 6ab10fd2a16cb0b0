// ftctl up and ftctl down: a private coordinator and worker on this machine.
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/daemons/private_daemons.h"
#include "client/session/output.h"

namespace ft::client {
namespace {

struct UpOptions {
  MetricsAddresses metrics;
};

StatusOr<int> Up(const UpOptions& options, Session& session) {
  const std::string socket = session.default_socket().string();
  PrintNotice(session.Localized(Text::kStarting, session.data_dir.string()));
  ASSIGN_OR_RETURN(const Started started, StartPrivateDaemons(session, options.metrics));
  KeepPrivateDaemons(session);
  PrintLine(session.Localized(started.any() ? Text::kStarted : Text::kAlreadyUp, socket));
  if (started.coordinator) PrintLine(StrCat("  finetuned  http://", started.metrics.coordinator, "/metrics"));
  if (started.worker) PrintLine(StrCat("  ft-worker  http://", started.metrics.worker, "/metrics"));
  if (!started.needs_uncordon.empty())
    PrintNotice(session.Localized(Text::kNeedsUncordon, started.needs_uncordon));
  return kExitOk;
}

StatusOr<int> Down(const UpOptions&, Session& session) {
  ASSIGN_OR_RETURN(const std::vector<std::string> stopped, StopPrivateDaemons(session));
  if (stopped.empty()) PrintLine(session.Localized(Text::kNothingRuns));
  for (const std::string& program : stopped) PrintLine(session.Localized(Text::kStopped, program));
  return kExitOk;
}

}  // namespace

void AddUp(CLI::App& root, Session& session) {
  auto options = std::make_shared<UpOptions>();
  CLI::App* verb = root.add_subcommand("up", "Start a private coordinator and worker")->group(kGroupMachine);
  verb->add_option("--metrics", options->metrics.coordinator, "Of the coordinator (a free port)")
      ->type_name("HOST:PORT");
  verb->add_option("--worker-metrics", options->metrics.worker, "Of the worker (a free port)")
      ->type_name("HOST:PORT");
  verb->footer("They keep running until `ftctl down`; jobs, logs and results stay on disk.");
  SetAction(verb, options, session, Up);
}

void AddDown(CLI::App& root, Session& session) {
  auto options = std::make_shared<UpOptions>();
  CLI::App* verb = root.add_subcommand("down", "Stop what `up` started")->group(kGroupMachine);
  verb->footer(
      "A job that runs goes on from its last checkpoint after the next `ftctl up`;\n"
      "`ftctl pause JOB --wait` first saves the very last step.");
  SetAction(verb, options, session, Down);
}

}  // namespace ft::client
