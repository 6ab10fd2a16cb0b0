// ftctl explain: why a job is where it is and what would let it go on.
#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/table.h"
#include "client/render/width.h"
#include "client/session/output.h"

namespace ft::client {
namespace {

struct ExplainOptions {
  std::string job;
};

StatusOr<int> Explain(const ExplainOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::Job job, session.GetJob(options.job));
  v1::ExplainJobRequest request;
  request.set_name(job.name());
  ASSIGN_OR_RETURN(const v1::JobExplanation answer, session.Call(&v1::JobService::Stub::ExplainJob, request));
  if (session.json()) {
    Print(ToJsonText(answer));
    return kExitOk;
  }
  const int columns = session.terminal.columns;
  const std::string state =
      session.Localized(Text::kState, CallName(job), StateName(session, answer.state()));
  const std::string reason = Printable(session.InLanguage(answer.reason()));
  PrintLine(Wrap(reason.empty() ? state : session.Localized(Text::kBecause, state, reason), columns, 2));
  for (const std::string& detail : answer.details())
    PrintLine(Wrap(StrCat("  ", Printable(session.InLanguage(detail))), columns, 4));
  if (answer.queue_position() > 0)
    PrintLine(session.Localized(Text::kQueuePosition, answer.queue_position()));
  if (!answer.unblock().empty()) PrintLine(session.Localized(Text::kToUnblock));
  for (const std::string& way : answer.unblock())
    PrintLine(Wrap(StrCat("  - ", Printable(session.InLanguage(way))), columns, 4));
  return kExitOk;
}

}  // namespace

void AddExplain(CLI::App& root, Session& session) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* verb =
      root.add_subcommand("explain", "Why a job waits, and what would let it run")->group(kGroupLook);
  AddJobArgument(verb, options->job);
  SetAction(verb, options, session, Explain);
}

}  // namespace ft::client
