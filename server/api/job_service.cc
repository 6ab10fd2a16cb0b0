#include "server/api/job_service.h"

#include <algorithm>

#include "server/api/admission.h"
#include "server/api/probe.h"
#include "server/api/tokens.h"
#include "server/api/watch_hub.h"

namespace ft::api {
namespace {

constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;

std::string NamespaceFilter(const std::string& parent) {
  const std::string_view prefix = "namespaces/";
  return parent.starts_with(prefix) ? parent.substr(prefix.size()) : parent;
}

template <typename Request>
state::Caller CallerOf(const grpc::CallbackServerContext& context, const char* method,
                       const Request& request) {
  return {ActorOf(context), method, request.request_id(), RequestDigest(request)};
}

// Jobs that wait for the same devices, in the order they would start.
int QueuePosition(const state::ClusterState& state, const state::spb::StoredJob& job) {
  const auto waits = [](const state::spb::StoredJob& row) {
    return row.job().state() == pb::QUEUED || row.job().state() == pb::PREPARING;
  };
  if (!waits(job)) return 0;
  int ahead = 0;
  state.jobs.ForEach([&](const state::JobPtr& other) {
    if (!waits(*other) || other->job_id() == job.job_id()) return;
    const bool before = other->priority() != job.priority() ? other->priority() > job.priority()
                                                            : other->order() < job.order();
    ahead += before ? 1 : 0;
  });
  return ahead + 1;
}

void Explain(const state::ClusterState& state, const state::spb::StoredJob& row, pb::JobExplanation* out) {
  const pb::Job& job = row.job();
  out->set_name(job.name());
  out->set_state(job.state());
  out->set_queue_position(QueuePosition(state, row));
  out->set_reason(job.state_message());
  if (job.contact_lost())
    out->add_unblock("bring its node back into contact; training may be going on there");
  if (row.queue_reason().empty()) return;
  out->set_reason(row.queue_reason());
  if (row.queue_reason() == "no worker is connected") {
    out->add_unblock("start a worker: ft-worker");
  } else if (row.queue_reason().find("not connected") != std::string::npos) {
    out->add_unblock("start the worker on that node again");
  } else {
    out->add_unblock("wait for a running job to end, or cancel one");
    if (row.threads() > 0)
      out->add_unblock(StrCat("ask for fewer than ", row.threads(), " threads (resources.threads)"));
  }
}

}  // namespace

grpc::ServerUnaryReactor* JobService::Mutate(const UnaryCall& call, state::Event event, pb::Job* reply) {
  const Status posted = backend_.loop.Post(
      std::move(event), [call, reply](const state::Reply& result, const state::Snapshot& snapshot) {
        if (result.status.ok()) {
          const state::JobPtr job = snapshot->jobs.Find(result.job_id);
          if (job == nullptr) {
            call.Finish(NoSuchJob(result.job_id));
            return;
          }
          *reply = job->job();
        }
        call.Finish(result.status);
      });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerUnaryReactor* JobService::CreateJob(grpc::CallbackServerContext* context,
                                                const pb::CreateJobRequest* request, pb::Job* reply) {
  const UnaryCall call(context, "JobService/CreateJob");
  auto row = Admit(*request, {backend_.roots, backend_.spool.UploadDir()});
  if (!row.ok()) {
    call.Finish(row.status());
    return call.reactor();
  }
  if (request->validate_only()) {
    *reply = row->job();
    call.Finish(absl::OkStatus());
    return call.reactor();
  }
  row->set_job_id(NewJobId());
  return Mutate(call, state::CreateJob{CallerOf(*context, "CreateJob", *request), *std::move(row)}, reply);
}

grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context,
                                             const pb::GetJobRequest* request, pb::Job* reply) {
  const UnaryCall call(context, "JobService/GetJob");
  const state::JobPtr job = state::FindJob(*backend_.loop.published(), request->name());
  if (job != nullptr) *reply = job->job();
  call.Finish(job == nullptr ? NoSuchJob(request->name()) : absl::OkStatus());
  return call.reactor();
}

grpc::ServerUnaryReactor* JobService::ListJobs(grpc::CallbackServerContext* context,
                                               const pb::ListJobsRequest* request,
                                               pb::ListJobsResponse* reply) {
  const UnaryCall call(context, "JobService/ListJobs");
  const state::Snapshot state = backend_.loop.published();
  const std::string filter = "list/" + request->parent();
  int64_t before = INT64_MAX;
  if (!request->page_token().empty()) {
    auto position = ReadPageToken(request->page_token(), state->store_id, filter);
    if (!position.ok()) {
      call.Finish(position.status());
      return call.reactor();
    }
    before = *position;
  }
  const std::string namespace_id = NamespaceFilter(request->parent());
  std::vector<state::JobPtr> jobs;
  state->jobs.ForEach([&](const state::JobPtr& job) {
    if (job->order() < before && (namespace_id.empty() || job->namespace_id() == namespace_id))
      jobs.push_back(job);
  });
  const int size = request->page_size() <= 0 ? kDefaultPage : std::min(request->page_size(), kMaxPage);
  const size_t shown = std::min(jobs.size(), static_cast<size_t>(size));
  std::partial_sort(jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(shown), jobs.end(),
                    [](const auto& a, const auto& b) { return a->order() > b->order(); });
  for (size_t i = 0; i < shown; ++i) *reply->add_jobs() = jobs[i]->job();
  if (shown < jobs.size())
    reply->set_next_page_token(WriteToken({state->store_id, filter, jobs[shown - 1]->order()}));
  call.Finish(absl::OkStatus());
  return call.reactor();
}

grpc::ServerUnaryReactor* JobService::CancelJob(grpc::CallbackServerContext* context,
                                                const pb::CancelJobRequest* request, pb::Job* reply) {
  return Mutate(
      UnaryCall(context, "JobService/CancelJob"),
      state::CancelJob{CallerOf(*context, "CancelJob", *request), request->name(), request->reason()}, reply);
}

grpc::ServerUnaryReactor* JobService::PauseJob(grpc::CallbackServerContext* context,
                                               const pb::PauseJobRequest* request, pb::Job* reply) {
  return Mutate(UnaryCall(context, "JobService/PauseJob"),
                state::PauseJob{CallerOf(*context, "PauseJob", *request), request->name()}, reply);
}

grpc::ServerUnaryReactor* JobService::ResumeJob(grpc::CallbackServerContext* context,
                                                const pb::ResumeJobRequest* request, pb::Job* reply) {
  return Mutate(UnaryCall(context, "JobService/ResumeJob"),
                state::ResumeJob{CallerOf(*context, "ResumeJob", *request), request->name()}, reply);
}

grpc::ServerUnaryReactor* JobService::DeleteJob(grpc::CallbackServerContext* context,
                                                const pb::DeleteJobRequest* request, pb::DeleteJobResponse*) {
  const UnaryCall call(context, "JobService/DeleteJob");
  spool::Spool& spool = backend_.spool;
  const Status posted = backend_.loop.Post(
      state::DeleteJob{CallerOf(*context, "DeleteJob", *request), request->name()},
      [call, &spool](const state::Reply& result, const state::Snapshot&) {
        if (result.status.ok()) {
          const Status removed = spool.Run([&spool, id = result.job_id] { spool.RemoveJob(id); });
          (void)removed;  // Files of jobs that are not in the store are removed at the next start.
        }
        call.Finish(result.status);
      });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerWriteReactor<pb::WatchJobsResponse>* JobService::WatchJobs(grpc::CallbackServerContext*,
                                                                       const pb::WatchJobsRequest* request) {
  const state::Snapshot state = backend_.loop.published();
  JobFilter filter{NamespaceFilter(request->parent()), ""};
  Status refused;
  if (!request->name().empty()) {
    const state::JobPtr job = state::FindJob(*state, request->name());
    if (job == nullptr && request->resume_token().empty()) {
      refused = NoSuchJob(request->name());
    }
    const size_t slash = request->name().rfind('/');
    filter.job_id =
        job != nullptr ? job->job_id() : request->name().substr(slash == std::string::npos ? 0 : slash + 1);
  }
  auto watch = std::make_shared<JobWatch>(backend_.hub, filter, state->store_id);
  watch->Hold();
  int64_t after = 0;
  if (refused.ok() && !request->resume_token().empty()) {
    auto position = ReadResumeToken(request->resume_token(), state->store_id, filter.Text());
    if (position.ok()) {
      after = *position;
    } else {
      refused = position.status();
    }
  }
  if (refused.ok() && after == 0) {
    backend_.hub.Add(watch, 0, {});
    return watch.get();
  }
  Backend& backend = backend_;
  if (refused.ok()) {
    refused = backend_.loop.Read([watch, after, &backend](state::Store& store) {
      const auto oldest = store.OldestRevision();
      auto deleted = store.ReadEvents({after, "", "JOB_DELETED", 1'000'000});
      if (oldest.ok() && deleted.ok() && *oldest <= after) {
        backend.hub.Add(watch, after, *deleted);
        return;
      }
      backend.probe.OnWatchEnd("jobs", "expired_token");
      watch->End(rpc::WithReason(
          absl::OutOfRangeError(StrCat("the resume token is older than what is kept (oldest revision ",
                                       oldest.ok() ? *oldest : 0, "): start without one")),
          pb::RESUME_TOKEN_EXPIRED));
    });
  }
  if (!refused.ok()) watch->End(refused);
  return watch.get();
}

grpc::ServerUnaryReactor* JobService::ExplainJob(grpc::CallbackServerContext* context,
                                                 const pb::ExplainJobRequest* request,
                                                 pb::JobExplanation* reply) {
  const UnaryCall call(context, "JobService/ExplainJob");
  const state::Snapshot state = backend_.loop.published();
  const state::JobPtr job = state::FindJob(*state, request->name());
  if (job != nullptr) Explain(*state, *job, reply);
  call.Finish(job == nullptr ? NoSuchJob(request->name()) : absl::OkStatus());
  return call.reactor();
}

}  // namespace ft::api
