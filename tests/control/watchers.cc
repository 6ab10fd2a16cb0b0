#include "tests/control/watchers.h"

#include <algorithm>
#include <chrono>

#include "tests/control/cluster.h"

namespace ft::testing {
namespace {

constexpr std::array kNames = {"events-watcher", "jobs-watcher"};
// Short, so that a test meets a few resumptions.
constexpr std::chrono::seconds kStreamLife(2);
constexpr std::chrono::seconds kCatchUp(10);

std::string LastPart(const std::string& name) { return name.substr(name.rfind('/') + 1); }

// The server's word on the token itself, not on the stream.
bool IsRefusal(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::OUT_OF_RANGE ||
         status.error_code() == grpc::StatusCode::INVALID_ARGUMENT;
}

}  // namespace

Watchers::Watchers(std::shared_ptr<grpc::Channel> channel, const History& history)
    : channel_(std::move(channel)), history_(history) {
  threads_[kEvents] = std::thread(
      [this] { Loop(kEvents, [this](grpc::ClientContext& context) { return ReadEvents(context); }); });
  threads_[kJobs] = std::thread(
      [this] { Loop(kJobs, [this](grpc::ClientContext& context) { return ReadJobs(context); }); });
}

void Watchers::Stop() {
  stop_ = true;
  {
    std::lock_guard lock(mutex_);
    for (grpc::ClientContext* context : contexts_) {
      if (context != nullptr) context->TryCancel();
    }
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Watchers::Loop(Which which, const ReadStream& read) {
  while (!stop_) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + kStreamLife);
    {
      std::lock_guard lock(mutex_);
      contexts_[which] = &context;
      if (stop_) context.TryCancel();
    }
    const grpc::Status status = read(context);
    {
      std::lock_guard lock(mutex_);
      contexts_[which] = nullptr;
    }
    if (!IsRefusal(status)) continue;
    history_.Add(
        {{"kind", "watch_refused"}, {"watcher", kNames[which]}, {"message", status.error_message()}});
    return;
  }
}

grpc::Status Watchers::ReadEvents(grpc::ClientContext& context) {
  pb::WatchEventsRequest request;
  request.set_resume_token(tokens_[kEvents]);
  const auto reader = pb::EventService::NewStub(channel_)->WatchEvents(&context, request);
  for (pb::WatchEventsResponse response; reader->Read(&response);) {
    if (!response.resume_token().empty()) tokens_[kEvents] = response.resume_token();
    if (!response.has_event()) continue;
    const pb::Event& event = response.event();
    history_.Add({{"kind", "watch"},
                  {"watcher", kNames[kEvents]},
                  {"stream", "events"},
                  {"revision", event.revision()},
                  {"type", event.type()},
                  {"subject", event.subject()},
                  {"to_state", event.to_state()}});
    events_revision_ = event.revision();
  }
  return reader->Finish();
}

grpc::Status Watchers::ReadJobs(grpc::ClientContext& context) {
  pb::WatchJobsRequest request;
  request.set_resume_token(tokens_[kJobs]);
  const auto reader = pb::JobService::NewStub(channel_)->WatchJobs(&context, request);
  for (pb::WatchJobsResponse response; reader->Read(&response);) {
    if (!response.resume_token().empty()) tokens_[kJobs] = response.resume_token();
    if (!response.has_job() && response.deleted().empty()) continue;
    const std::string job = LastPart(response.has_job() ? response.job().name() : response.deleted());
    const std::string state = response.has_job() ? pb::JobState_Name(response.job().state()) : "";
    history_.Add({{"kind", "watch"},
                  {"watcher", kNames[kJobs]},
                  {"stream", "jobs"},
                  {"revision", response.revision()},
                  {"job", job},
                  {"state", state}});
    std::lock_guard lock(mutex_);
    if (response.has_job()) {
      believed_[job] = state;
    } else {
      believed_.erase(job);
    }
  }
  return reader->Finish();
}

int64_t Watchers::NewestRevision() {
  pb::ListEventsRequest request;
  request.set_page_size(1000);
  int64_t newest = 0;
  while (true) {
    pb::ListEventsResponse response;
    if (!pb::EventService::NewStub(channel_)->ListEvents(Context().get(), request, &response).ok())
      return newest;
    if (response.events_size() > 0) newest = response.events().rbegin()->revision();
    if (response.next_page_token().empty()) return newest;
    request.set_page_token(response.next_page_token());
  }
}

std::map<std::string, std::string> Watchers::JobsNow() {
  pb::ListJobsRequest request;
  request.set_page_size(1000);
  pb::ListJobsResponse response;
  std::map<std::string, std::string> jobs;
  if (!pb::JobService::NewStub(channel_)->ListJobs(Context().get(), request, &response).ok()) return jobs;
  for (const pb::Job& job : response.jobs()) jobs[LastPart(job.name())] = pb::JobState_Name(job.state());
  return jobs;
}

void Watchers::CatchUp() {
  const int64_t newest = NewestRevision();
  const auto deadline = std::chrono::steady_clock::now() + kCatchUp;
  const auto is_caught_up = [&] {
    const std::map<std::string, std::string> jobs = JobsNow();
    std::lock_guard lock(mutex_);
    return events_revision_ >= newest && believed_ == jobs;
  };
  while (!is_caught_up() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  for (const char* name : kNames)
    history_.Add({{"kind", "watch_end"}, {"watcher", name}, {"revision", newest}});
}

}  // namespace ft::testing
