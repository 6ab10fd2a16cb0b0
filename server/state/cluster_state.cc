#include "server/state/cluster_state.h"

#include <cstdio>

#include "core/base/str_cat.h"

namespace ft::state {
namespace {

std::string Padded(int64_t value) {
  char text[24];
  std::snprintf(text, sizeof(text), "%012lld", static_cast<long long>(value));
  return text;
}

}  // namespace

std::string AttemptKey(const std::string& job_id, int64_t epoch) {
  return StrCat(job_id, "/", Padded(epoch));
}

std::string CheckpointKey(const std::string& job_id, int64_t epoch, int64_t step) {
  return StrCat(job_id, "/", Padded(epoch), "/", Padded(step));
}

bool IsTerminal(pb::JobState state) {
  return state == pb::SUCCEEDED || state == pb::FAILED || state == pb::CANCELLED;
}

std::string JobName(const std::string& namespace_id, const std::string& job_id) {
  return StrCat("namespaces/", namespace_id, "/jobs/", job_id);
}

JobPtr FindJob(const ClusterState& state, const std::string& name) {
  if (name.empty()) return nullptr;
  const size_t slash = name.rfind("/jobs/");
  if (name.starts_with("namespaces/") && slash != std::string::npos) {
    JobPtr job = state.jobs.Find(name.substr(slash + 6));
    return job != nullptr && job->job().name() == name ? job : nullptr;
  }
  if (JobPtr job = state.jobs.Find(name)) return job;
  JobPtr newest;
  state.jobs.ForEach([&](const JobPtr& job) {
    if (job->job().display_name() == name && (newest == nullptr || newest->order() < job->order()))
      newest = job;
  });
  return newest;
}

AttemptPtr CurrentAttempt(const ClusterState& state, const spb::StoredJob& job) {
  return job.job().epoch() == 0 ? nullptr : state.attempts.Find(AttemptKey(job.job_id(), job.job().epoch()));
}

void Install(const Changes& changes, ClusterState& state) {
  for (const JobPtr& job : changes.jobs) state.jobs.Set(job->job_id(), job);
  for (const AttemptPtr& attempt : changes.attempts) {
    const std::string key = AttemptKey(attempt->job_id(), attempt->epoch());
    state.attempts.Set(key, attempt);
    if (attempt->state() == spb::StoredAttempt::ENDED) {
      state.active.Erase(key);
    } else {
      state.active.Set(key, attempt);
    }
  }
  for (const NodePtr& node : changes.nodes) state.nodes.Set(node->node_id(), node);
  for (const CheckpointPtr& row : changes.checkpoints) {
    state.checkpoints.Set(CheckpointKey(row->job_id(), row->checkpoint().epoch(), row->checkpoint().step()),
                          row);
  }
  for (const CheckpointPtr& row : changes.deleted_checkpoints) {
    state.checkpoints.Erase(
        CheckpointKey(row->job_id(), row->checkpoint().epoch(), row->checkpoint().step()));
  }
  for (const RequestPtr& row : changes.requests) state.requests.Set(row->request_id(), row);
  for (const std::string& id : changes.deleted_requests) state.requests.Erase(id);
  for (const JobPtr& job : changes.deleted_jobs) {
    for (const auto& attempt : state.attempts.Under(job->job_id())) {
      state.attempts.Erase(AttemptKey(attempt->job_id(), attempt->epoch()));
      state.active.Erase(AttemptKey(attempt->job_id(), attempt->epoch()));
    }
    for (const auto& row : state.checkpoints.Under(job->job_id())) {
      state.checkpoints.Erase(
          CheckpointKey(row->job_id(), row->checkpoint().epoch(), row->checkpoint().step()));
    }
    state.jobs.Erase(job->job_id());
  }
  state.revision = changes.revision;
}

}  // namespace ft::state
