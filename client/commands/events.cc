// ftctl events: what happened to a job or to everything, and why.
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/table.h"
#include "client/render/width.h"
#include "client/session/output.h"
#include "finetune/v1/events.grpc.pb.h"

namespace ft::client {
namespace {

struct EventsOptions {
  std::string subject;
  bool follow = false;
  int limit = 200;
};

std::string EventText(const v1::Event& event) {
  std::string text = event.type();
  if (!event.to_state().empty()) {
    StrAppend(&text, " ", event.from_state().empty() ? "" : StrCat(event.from_state(), " -> "),
              event.to_state());
  }
  if (!event.message().empty()) StrAppend(&text, ": ", Printable(event.message()));
  return text;
}

void PrintEvent(const Session& session, const v1::Event& event) {
  if (session.json()) {
    PrintLine(ToJsonLine(event));
  } else {
    PrintLine(Wrap(StrCat(LocalTime(event.time()), "  ", EventText(event)), session.terminal.columns, 21));
  }
}

StatusOr<std::vector<v1::Event>> FetchEvents(const EventsOptions& options, const std::string& subject,
                                             Session& session) {
  std::vector<v1::Event> events;
  v1::ListEventsRequest request;
  request.set_subject(subject);
  request.set_page_size(1000);
  while (true) {
    ASSIGN_OR_RETURN(v1::ListEventsResponse page, session.Call(&v1::EventService::Stub::ListEvents, request));
    for (v1::Event& event : *page.mutable_events()) events.push_back(std::move(event));
    // Oldest come first and the newest are wanted, so earlier ones are dropped while reading on.
    const auto limit = static_cast<size_t>(options.limit);
    if (events.size() > limit) events.erase(events.begin(), events.end() - options.limit);
    if (page.next_page_token().empty() || page.events().empty()) return events;
    request.set_page_token(page.next_page_token());
  }
}

StatusOr<int> FollowEvents(const std::string& subject, Session& session) {
  ASSIGN_OR_RETURN(const Connection* connection, session.Connect());
  v1::WatchEventsRequest request;
  request.set_subject(subject);
  grpc::ClientContext context;
  const auto reader = connection->Stream(&v1::EventService::Stub::WatchEvents, context, request);
  v1::WatchEventsResponse response;
  while (reader->Read(&response)) {
    if (response.has_event()) PrintEvent(session, response.event());
  }
  const Status status = Connection::FromGrpc(reader->Finish());
  if (!status.ok()) return session.Explained(status);
  return kExitOk;
}

StatusOr<int> Events(const EventsOptions& options, Session& session) {
  std::string subject;
  if (!options.subject.empty()) {
    const StatusOr<v1::Job> job = session.GetJob(options.subject);
    if (!job.ok() && !absl::IsNotFound(job.status())) return job.status();
    // Not a job: a node, which the coordinator looks up by its name.
    subject = job.ok() ? job->name() : options.subject;
  }
  if (options.follow) return FollowEvents(subject, session);
  ASSIGN_OR_RETURN(const std::vector<v1::Event> events, FetchEvents(options, subject, session));
  if (events.empty()) PrintNotice(session.Localized(Text::kNoEvents));
  for (const v1::Event& event : events) PrintEvent(session, event);
  return kExitOk;
}

}  // namespace

void AddEvents(CLI::App& root, Session& session) {
  auto options = std::make_shared<EventsOptions>();
  CLI::App* verb = root.add_subcommand("events", "What happened, and why")->group(kGroupLook);
  verb->add_option("SUBJECT", options->subject, "A job or a node; all without it")->type_name("");
  verb->add_flag("-f,--follow", options->follow, "Go on with what happens from now on");
  verb->add_option("--limit", options->limit, "At most so many, the newest (200)")
      ->type_name("N")
      ->check(CLI::Range(1, 100000));
  SetAction(verb, options, session, Events);
}

}  // namespace ft::client
