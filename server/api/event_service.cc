#include "server/api/event_service.h"

#include <algorithm>

#include "server/api/metrics.h"
#include "server/api/tokens.h"
#include "server/api/watch_hub.h"

namespace ft::api {
namespace {

constexpr int kDefaultPage = 100;
constexpr int kMaxPage = 1000;

// A job's id or display name becomes its resource name; anything else stays, so that a deleted job's log can
// be read.
std::string SubjectOf(const state::ClusterState& state, const std::string& subject) {
  const state::JobPtr job = state::FindJob(state, subject);
  return job == nullptr ? subject : job->job().name();
}

}  // namespace

grpc::ServerUnaryReactor* EventService::ListEvents(grpc::CallbackServerContext* context,
                                                   const pb::ListEventsRequest* request,
                                                   pb::ListEventsResponse* reply) {
  const UnaryCall call(context, "EventService/ListEvents");
  const state::Snapshot state = backend_.loop.published();
  const std::string subject = SubjectOf(*state, request->subject());
  const std::string filter = "list-events/" + subject;
  int64_t after = 0;
  if (!request->page_token().empty()) {
    auto position =
        ReadPageToken(state->secret, request->page_token(), {state->store_id, filter, state->revision});
    if (!position.ok()) {
      call.Finish(position.status());
      return call.reactor();
    }
    after = *position;
  }
  const int size = request->page_size() <= 0 ? kDefaultPage : std::min(request->page_size(), kMaxPage);
  const Status posted = backend_.loop.Read([=](state::Store& store) {
    auto events = store.ReadEvents({.after_revision = after, .subject = subject, .limit = size + 1});
    if (events.ok()) {
      const bool more = static_cast<int>(events->size()) > size;
      if (more) events->pop_back();
      if (more)
        reply->set_next_page_token(
            WriteToken(state->secret, {state->store_id, filter, events->back().revision()}));
      for (pb::Event& event : *events) *reply->add_events() = std::move(event);
    }
    call.Finish(events.status());
  });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerWriteReactor<pb::WatchEventsResponse>* EventService::WatchEvents(
    grpc::CallbackServerContext*, const pb::WatchEventsRequest* request) {
  const state::Snapshot state = backend_.loop.published();
  const std::string subject = SubjectOf(*state, request->subject());
  int64_t after = 0;
  Status refused;
  if (!request->resume_token().empty()) {
    auto position = ReadResumeToken(state->secret, request->resume_token(),
                                    {state->store_id, "events/" + subject, state->revision});
    if (position.ok()) {
      after = *position;
    } else {
      refused = position.status();
    }
  }
  auto watch = std::make_shared<EventWatch>(backend_.hub, backend_.loop, subject, after,
                                            TokenKey{state->store_id, state->secret});
  watch->Hold();
  Backend& backend = backend_;
  const bool resumed = !request->resume_token().empty();
  if (refused.ok()) {
    refused = backend_.loop.Read([watch, after, resumed, &backend](state::Store& store) {
      const auto oldest = store.OldestRevision();
      if (oldest.ok() && (!resumed || *oldest <= after)) {
        backend.hub.Add(watch);
        return;
      }
      backend.metrics.OnWatchEnd("events", "expired_token");
      watch->End(rpc::WithReason(
          absl::OutOfRangeError("the resume token is older than what is kept: start without one"),
          pb::RESUME_TOKEN_EXPIRED));
    });
  }
  if (!refused.ok()) watch->End(refused);
  return watch.get();
}

}  // namespace ft::api
