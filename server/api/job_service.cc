#include "server/api/job_service.h"

#include <algorithm>

#include "server/api/admission.h"
#include "server/api/bounds.h"
#include "server/api/metrics.h"
#include "server/api/tokens.h"
#include "server/api/watch_hub.h"
#include "server/state/capacity.h"

namespace ft::api {
namespace {

constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;

pb::Job ViewOf(const state::ClusterState& state, const state::spb::StoredJob& row, pb::JobView view) {
  return view == pb::FULL ? state::FullJob(state, row) : row.job();
}

std::string NamespaceFilter(const std::string& parent) {
  const std::string_view prefix = "namespaces/";
  return parent.starts_with(prefix) ? parent.substr(prefix.size()) : parent;
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

std::vector<std::string> ToUnblock(schedule::Why why, const state::spb::StoredJob& row) {
  using schedule::Why;
  switch (why) {
    case Why::kNoWorker: return {"start a worker (ft-worker), or ftctl uncordon NODE"};
    case Why::kAway: return {"start the worker on that node again, or ftctl uncordon it"};
    case Why::kOtherArch:
      return {"start a worker on a machine of that kind", "set allow_numeric_change: true in a new job"};
    case Why::kTooLarge: {
      if (row.device() == "gpu")
        return {"start a worker on a machine with such a GPU", "use resources.device: cpu in a new job"};
      if (!row.has_numerics())
        return {"ask for less (resources.threads, parallel.ranks, resources.device_memory)"};
      return {StrCat("start a worker with at least ", row.numerics().threads(),
                     " cores a rank: it began with so many")};
    }
    case Why::kNoSlot: return {"wait for a preparation to end", "raise prepare_slots of a worker"};
    default: break;
  }
  std::vector<std::string> actions = {"wait for a running job to end, or cancel one"};
  if (row.threads() > 1)
    actions.push_back(StrCat("ask for fewer than ", row.threads(), " threads (resources.threads)"));
  return actions;
}

void Explain(const state::ClusterState& state, const state::spb::StoredJob& row, pb::JobExplanation* out) {
  const pb::Job& job = row.job();
  out->set_name(job.name());
  out->set_state(job.state());
  out->set_queue_position(QueuePosition(state, row));
  out->set_reason(job.state_message());
  if (job.contact_lost())
    out->add_unblock("bring its node back into contact; training may be going on there");
  const std::optional<state::WaitReason> wait = state::WhyWaits(state, row.job_id(), absl::Now());
  if (!wait) return;
  out->set_reason(wait->sentence);
  for (const std::string& detail : wait->details) out->add_details(detail);
  for (const std::string& action : ToUnblock(wait->why, row)) out->add_unblock(action);
}

// Reads which jobs went after a token's revision, a batch at a turn of the writer's, and then lets the watch begin. However many
// there are, nobody's write waits longer for one batch.
class DeletionReader : public std::enable_shared_from_this<DeletionReader> {
 public:
  DeletionReader(Backend& backend, std::shared_ptr<JobWatch> watch, int64_t after)
      : backend_(backend), watch_(std::move(watch)), after_(after), read_to_(after) {}

  Status Start() {
    return backend_.loop.Read([self = shared_from_this()](state::Store& store) { self->ReadBatch(store); });
  }

 private:
  static constexpr int kBatch = 256;

  void ReadBatch(state::Store& store) {
    const auto oldest = store.OldestRevision();
    if (!oldest.ok() || *oldest > after_) {
      Expire(oldest.ok() ? *oldest : 0);
      return;
    }
    auto events = store.ReadEvents({.after_revision = read_to_, .only_deletions = true, .limit = kBatch});
    if (!events.ok()) {
      watch_->End(events.status());
      return;
    }
    if (!events->empty()) read_to_ = events->back().revision();
    const bool more = events->size() == kBatch;
    deleted_.insert(deleted_.end(), std::make_move_iterator(events->begin()),
                    std::make_move_iterator(events->end()));
    if (!more) {
      backend_.hub.Add(watch_, after_, deleted_);
    } else if (const Status posted = Start(); !posted.ok()) {
      watch_->End(posted);
    }
  }

  void Expire(int64_t oldest) {
    backend_.metrics.OnWatchEnd("jobs", "expired_token");
    watch_->End(rpc::WithReason(
        absl::OutOfRangeError(StrCat("the resume token is older than what is kept (oldest revision ", oldest,
                                     "): start without one")),
        pb::RESUME_TOKEN_EXPIRED));
  }

  Backend& backend_;
  const std::shared_ptr<JobWatch> watch_;
  const int64_t after_;
  int64_t read_to_;
  std::vector<pb::Event> deleted_;
};

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
          *reply = state::FullJob(*snapshot, *job);
        }
        call.Finish(result.status);
      });
  if (!posted.ok()) call.Finish(posted);
  return call.reactor();
}

grpc::ServerUnaryReactor* JobService::CreateJob(grpc::CallbackServerContext* context,
                                                const pb::CreateJobRequest* request, pb::Job* reply) {
  const UnaryCall call(context, "JobService/CreateJob");
  auto admitted = Admit(*request, {backend_.roots, backend_.spool.UploadDir()});
  if (!admitted.ok()) {
    call.Finish(admitted.status());
    return call.reactor();
  }
  if (request->validate_only()) {
    *reply = admitted->row.job();
    reply->set_config_yaml(admitted->config.config_yaml());
    reply->set_resolved_config_json(admitted->config.resolved_config_json());
    call.Finish(absl::OkStatus());
    return call.reactor();
  }
  admitted->row.set_job_id(NewJobId());
  admitted->config.set_job_id(admitted->row.job_id());
  return Mutate(call,
                state::CreateJob{CallerOf(*context, "CreateJob", *request), std::move(admitted->row),
                                 std::move(admitted->config)},
                reply);
}

grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context,
                                             const pb::GetJobRequest* request, pb::Job* reply) {
  const UnaryCall call(context, "JobService/GetJob");
  const state::Snapshot state = backend_.loop.published();
  const state::JobPtr job = state::FindJob(*state, request->name(), NamespaceFilter(request->parent()));
  if (job != nullptr) *reply = ViewOf(*state, *job, request->view());
  const std::string trouble = job == nullptr ? "" : backend_.disk.Of(job->job_id(), absl::Now());
  if (!trouble.empty() && !reply->has_end_time()) reply->set_state_message(trouble);
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
    auto position = ReadPageToken(state->secret, request->page_token(), {state->store_id, filter, INT64_MAX});
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
  size_t bytes = 0, sent = 0;
  for (; sent < shown; ++sent) {
    pb::Job job = ViewOf(*state, *jobs[sent], request->view());
    bytes += job.ByteSizeLong();
    if (bytes > kMaxReplyBytes && sent > 0) break;  // The rest is on the next page.
    *reply->add_jobs() = std::move(job);
  }
  if (sent < jobs.size())
    reply->set_next_page_token(WriteToken(state->secret, {state->store_id, filter, jobs[sent - 1]->order()}));
  call.Finish(absl::OkStatus());
  return call.reactor();
}

grpc::ServerUnaryReactor* JobService::CancelJob(grpc::CallbackServerContext* context,
                                                const pb::CancelJobRequest* request, pb::Job* reply) {
  const UnaryCall call(context, "JobService/CancelJob");
  Status checked = CheckNameAndId(*request);
  if (checked.ok()) checked = CheckText("reason", request->reason(), kMaxReasonBytes);
  if (!checked.ok()) return call.Refuse(checked);
  return Mutate(
      call, state::CancelJob{CallerOf(*context, "CancelJob", *request), request->name(), request->reason()},
      reply);
}

grpc::ServerUnaryReactor* JobService::PauseJob(grpc::CallbackServerContext* context,
                                               const pb::PauseJobRequest* request, pb::Job* reply) {
  const UnaryCall call(context, "JobService/PauseJob");
  if (const Status checked = CheckNameAndId(*request); !checked.ok()) return call.Refuse(checked);
  return Mutate(call, state::PauseJob{CallerOf(*context, "PauseJob", *request), request->name()}, reply);
}

grpc::ServerUnaryReactor* JobService::ResumeJob(grpc::CallbackServerContext* context,
                                                const pb::ResumeJobRequest* request, pb::Job* reply) {
  const UnaryCall call(context, "JobService/ResumeJob");
  if (const Status checked = CheckNameAndId(*request); !checked.ok()) return call.Refuse(checked);
  return Mutate(call, state::ResumeJob{CallerOf(*context, "ResumeJob", *request), request->name()}, reply);
}

grpc::ServerUnaryReactor* JobService::DeleteJob(grpc::CallbackServerContext* context,
                                                const pb::DeleteJobRequest* request, pb::DeleteJobResponse*) {
  const UnaryCall call(context, "JobService/DeleteJob");
  if (const Status checked = CheckNameAndId(*request); !checked.ok()) return call.Refuse(checked);
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
  filter.view = request->view();
  auto watch = std::make_shared<JobWatch>(backend_.hub, filter, TokenKey{state->store_id, state->secret});
  watch->Hold();
  int64_t after = 0;
  if (refused.ok() && !request->resume_token().empty()) {
    auto position = ReadResumeToken(state->secret, request->resume_token(),
                                    {state->store_id, filter.Text(), state->revision});
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
  if (refused.ok()) refused = std::make_shared<DeletionReader>(backend_, watch, after)->Start();
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
