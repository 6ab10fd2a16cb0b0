#include "server/state/cluster_state.h"

#include <cstdio>

#include "core/base/str_cat.h"

namespace ft::state {
namespace {

const std::string kDefaultNamespace = "default";

std::string Padded(int64_t value) {
  char text[24];
  std::snprintf(text, sizeof(text), "%012lld", static_cast<long long>(value));
  return text;
}

bool MayWait(pb::JobState state) {
  return state == pb::PREPARING || state == pb::QUEUED || state == pb::RECOVERING;
}

}  // namespace

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp out;
  const int64_t nanos = absl::ToUnixNanos(time);
  out.set_seconds(nanos / 1'000'000'000);
  out.set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  return out;
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string AttemptKey(const std::string& job_id, int64_t epoch) {
  return StrCat(job_id, "/", Padded(epoch));
}

std::string CheckpointKey(const std::string& job_id, int64_t epoch, int64_t step) {
  return StrCat(job_id, "/", Padded(epoch), "/", Padded(step));
}

void AddConfig(const spb::StoredConfig& config, pb::Job& job) {
  job.set_config_yaml(config.config_yaml());
  job.set_resolved_config_json(config.resolved_config_json());
  if (config.report_size() > 0) *job.mutable_prepared()->mutable_report() = config.report();
}

pb::Job FullJob(const ClusterState& state, const spb::StoredJob& row) {
  pb::Job job = row.job();
  if (const ConfigPtr config = state.configs.Find(row.job_id())) AddConfig(*config, job);
  return job;
}

bool IsTerminal(pb::JobState state) {
  return state == pb::SUCCEEDED || state == pb::FAILED || state == pb::CANCELLED;
}

std::string JobName(const std::string& namespace_id, const std::string& job_id) {
  return StrCat("namespaces/", namespace_id, "/jobs/", job_id);
}

JobPtr FindJob(const ClusterState& state, const std::string& name, const std::string& namespace_id) {
  if (name.empty()) return nullptr;
  const size_t slash = name.rfind("/jobs/");
  if (name.starts_with("namespaces/") && slash != std::string::npos) {
    JobPtr job = state.jobs.Find(name.substr(slash + 6));
    return job != nullptr && job->job().name() == name ? job : nullptr;
  }
  const std::string& home = namespace_id.empty() ? kDefaultNamespace : namespace_id;
  JobPtr job = state.jobs.Find(name);
  if (job != nullptr && job->namespace_id() == home) return job;
  JobPtr newest;
  state.jobs.ForEach([&](const JobPtr& job) {
    if (job->namespace_id() == home && job->job().display_name() == name &&
        (newest == nullptr || newest->order() < job->order()))
      newest = job;
  });
  return newest;
}

AttemptPtr CurrentAttempt(const ClusterState& state, const spb::StoredJob& job) {
  return job.job().epoch() == 0 ? nullptr : state.attempts.Find(AttemptKey(job.job_id(), job.job().epoch()));
}

void Install(const Changes& changes, ClusterState& state) {
  for (const JobPtr& job : changes.jobs) {
    state.jobs.Set(job->job_id(), job);
    if (MayWait(job->job().state())) {
      state.waiting.Set(job->job_id(), job);
    } else {
      state.waiting.Erase(job->job_id());
    }
  }
  for (const ConfigPtr& config : changes.configs) state.configs.Set(config->job_id(), config);
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
  for (const std::string& id : changes.deleted_nodes) state.nodes.Erase(id);
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
    state.waiting.Erase(job->job_id());
    state.configs.Erase(job->job_id());
  }
  state.revision = changes.revision;
}

}  // namespace ft::state
