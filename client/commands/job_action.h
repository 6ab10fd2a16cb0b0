// What cancel, pause, resume and delete have in common: one job, one request with a request id.
#pragma once

#include "client/session/output.h"
#include "client/session/session.h"

namespace ft::client {

struct JobActionOptions {
  std::string job;
  std::string reason;
  bool wait = false;
};

// Prints how the job stands now: JSON, or one sentence.
inline void PrintNow(const Session& session, const v1::Job& job) {
  if (session.json()) {
    Print(ToJsonText(job));
  } else {
    PrintLine(session.Localized(Text::kStillRunning, CallName(job), StateName(job.state())));
  }
}

// A request for the job of that name or id; resolving the name first keeps a retry on the same job.
template <typename Request>
StatusOr<Request> RequestFor(Session& session, const std::string& name) {
  ASSIGN_OR_RETURN(const v1::Job job, session.GetJob(name));
  Request request;
  request.set_name(job.name());
  request.set_request_id(NewRequestId());
  return request;
}

}  // namespace ft::client
