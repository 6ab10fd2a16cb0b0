#include "server/api/metrics.h"

#include <array>
#include <map>

namespace ft::api {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

const prometheus::Histogram::BucketBoundaries kCallSeconds = {.001, .0025, .005, .01, .025, .05, .1,
                                                              .25,  .5,    1,    2.5, 5,    10};
const prometheus::Histogram::BucketBoundaries kCommitSeconds = {.0001, .00025, .0005, .001, .0025, .005, .01,
                                                                .025,  .05,    .1,    .25,  .5,    1};
const prometheus::Histogram::BucketBoundaries kGroupSizes = {1, 2, 4, 8, 16, 32, 64};

constexpr char kQueue[] = "default";
// A namespace is whatever a client writes: the first so many have series of their own.
constexpr size_t kMaxTenants = 20;
constexpr char kOtherTenants[] = "other";

// NAME of namespaces/NAME/jobs/ID.
std::string NamespaceOf(const std::string& job) {
  const size_t start = job.find('/') + 1;
  return job.substr(start, job.find('/', start) - start);
}

auto& Counters(prometheus::Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}

auto& Gauges(prometheus::Registry& registry, const char* name, const char* help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}

auto& Histograms(prometheus::Registry& registry, const char* name, const char* help) {
  return BuildHistogram().Name(name).Help(help).Register(registry);
}

}  // namespace

Metrics::Metrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      calls_(Counters(*registry_, "finetune_rpc_server_handled_total", "Calls answered.")),
      call_seconds_(Histograms(*registry_, "finetune_rpc_server_handling_seconds", "Time to answer a call.")),
      jobs_(Gauges(*registry_, "finetune_jobs", "Jobs by state.")),
      submitted_(Counters(*registry_, "finetune_jobs_submitted_total", "Jobs accepted.")),
      finished_(
          Counters(*registry_, "finetune_jobs_finished_total", "Jobs ended, by state and failure class.")),
      attempts_(Counters(*registry_, "finetune_attempts_total", "Ended attempts by failure class.")),
      nodes_(Gauges(*registry_, "finetune_nodes", "Nodes by state.")),
      stale_(Counters(*registry_, "finetune_stale_epoch_rejections_total",
                      "Writes of ended attempts that were refused.")),
      store_errors_(Counters(*registry_, "finetune_store_errors_total", "Failed store transactions.")),
      refused_(Counters(*registry_, "finetune_rpc_server_refused_total",
                        "Calls refused before they were looked at, for want of a token or a role.")),
      watch_ends_(Counters(*registry_, "finetune_watch_terminations_total", "Watches ended by the server.")),
      checkpoints_rejected_(
          Counters(*registry_, "finetune_checkpoints_rejected_total", "Checkpoint commits refused.")),
      leader_(Gauges(*registry_, "finetune_leader", "1 on the leader.").Add({})),
      term_(Gauges(*registry_, "finetune_leader_term", "Starts of a coordinator on this store.").Add({})),
      commit_seconds_(Histograms(*registry_, "finetune_store_commit_duration_seconds", "Store transactions.")
                          .Add({}, kCommitSeconds)),
      group_size_(Histograms(*registry_, "finetune_store_group_size", "Changes per transaction.")
                      .Add({}, kGroupSizes)),
      queue_length_(
          Gauges(*registry_, "finetune_store_queue_length", "Requests accepted and not yet answered.")
              .Add({})),
      checkpoints_(
          Counters(*registry_, "finetune_checkpoints_committed_total", "Checkpoints committed.").Add({})),
      renewals_(
          Counters(*registry_, "finetune_lease_renewals_total", "Leases renewed.").Add({{"code", "OK"}})),
      expirations_(Counters(*registry_, "finetune_leases_expired_total", "Leases that ran out.").Add({})) {
  Gauges(*registry_, "finetune_build_info", "What runs.").Add({{"version", FT_VERSION}}).Set(1);
  for (const char* reason : {"slow_consumer", "expired_token"}) {
    for (const char* kind : {"jobs", "events"}) watch_ends_.Add({{"kind", kind}, {"reason", reason}});
  }
  checkpoints_rejected_.Add({{"reason", "stale_epoch"}});
  // What a store answers when it cannot write: no space, or an error of the disk.
  for (const char* code : {"RESOURCE_EXHAUSTED", "DATA_LOSS"}) store_errors_.Add({{"code", code}});
  for (const char* method : {"ReportRank", "PushRecords", "PushLogs", "CommitCheckpoint"})
    stale_.Add({{"method", method}});
  for (const char* reason : {"no_token", "unknown_token"})
    refused_.Add({{"port", "users"}, {"reason", reason}});
  for (const char* reason : {"no_role", "other_node"})
    refused_.Add({{"port", "workers"}, {"reason", reason}});
  leader_.Set(1);
}

void Metrics::OnCommit(double seconds, size_t group) {
  commit_seconds_.Observe(seconds);
  group_size_.Observe(static_cast<double>(group));
}

void Metrics::OnChanges(const state::Changes& changes) {
  checkpoints_.Increment(static_cast<double>(changes.checkpoints.size()));
  for (const pb::Event& event : changes.events) {
    if (event.type() == "JOB_CREATED")
      submitted_.Add({{"tenant", TenantOf(NamespaceOf(event.subject()))}, {"queue", kQueue}}).Increment();
  }
  for (const state::JobPtr& job : changes.jobs) {
    const pb::Job& row = job->job();
    // An ended job's row changes once, when it ends.
    if (!state::IsTerminal(row.state()) || !row.has_end_time()) continue;
    const std::string failure =
        row.state() == pb::FAILED ? pb::FailureClass_Name(row.failure().failure_class()) : "";
    finished_
        .Add({{"tenant", TenantOf(job->namespace_id())},
              {"queue", kQueue},
              {"state", pb::JobState_Name(row.state())},
              {"class", failure}})
        .Increment();
  }
  for (const state::AttemptPtr& attempt : changes.attempts) {
    if (attempt->state() != state::spb::StoredAttempt::ENDED) continue;
    const std::string failure =
        attempt->has_failure() ? pb::FailureClass_Name(attempt->failure().failure_class()) : "";
    attempts_.Add({{"queue", kQueue}, {"class", failure}}).Increment();
  }
}

std::string Metrics::TenantOf(const std::string& namespace_id) {
  std::lock_guard lock(mutex_);
  if (tenants_.contains(namespace_id)) return namespace_id;
  if (tenants_.size() >= kMaxTenants) return kOtherTenants;
  tenants_.insert(namespace_id);
  return namespace_id;
}

void Metrics::OnStoreError(const std::string& code) { store_errors_.Add({{"code", code}}).Increment(); }

void Metrics::OnCall(const std::string& method, const std::string& code, double seconds) {
  const size_t slash = method.find('/');
  const std::string service = method.substr(0, slash);
  const std::string name = slash == std::string::npos ? "" : method.substr(slash + 1);
  calls_.Add({{"grpc_service", service}, {"method", name}, {"code", code}}).Increment();
  call_seconds_.Add({{"grpc_service", service}, {"method", name}}, kCallSeconds).Observe(seconds);
}

void Metrics::OnStaleEpoch(const std::string& method) { stale_.Add({{"method", method}}).Increment(); }

void Metrics::OnRefused(const std::string& port, const std::string& reason) {
  refused_.Add({{"port", port}, {"reason", reason}}).Increment();
}

void Metrics::OnWatchEnd(const std::string& kind, const std::string& reason) {
  watch_ends_.Add({{"kind", kind}, {"reason", reason}}).Increment();
}

void Metrics::OnCheckpointRejected(const std::string& reason) {
  checkpoints_rejected_.Add({{"reason", reason}}).Increment();
}

void Metrics::Refresh(const state::ClusterState& state, const fleet::FleetCounts& counts, size_t waiting) {
  using StateCounts = std::array<int, pb::JobState_ARRAYSIZE>;
  std::map<std::string, StateCounts> jobs;
  state.jobs.ForEach([&](const state::JobPtr& job) {
    ++jobs[job->namespace_id()][static_cast<size_t>(job->job().state())];
  });
  std::map<std::string, StateCounts> tenants;
  tenants["default"];
  {
    std::lock_guard lock(mutex_);
    for (const std::string& tenant : tenants_) tenants[tenant];
  }
  for (const auto& [namespace_id, counts] : jobs) {
    StateCounts& sum = tenants[TenantOf(namespace_id)];
    for (size_t i = 0; i < counts.size(); ++i) sum[i] += counts[i];
  }
  for (const auto& [tenant, counts] : tenants) {
    for (int value = pb::PREPARING; value <= pb::CANCELLED; ++value) {
      jobs_
          .Add({{"tenant", tenant},
                {"queue", kQueue},
                {"state", pb::JobState_Name(static_cast<pb::JobState>(value))}})
          .Set(counts[static_cast<size_t>(value)]);
    }
  }
  std::map<std::string, int> nodes = {
      {"ready", 0}, {"suspect", 0}, {"draining", 0}, {"cordoned", 0}, {"lost", 0}};
  state.nodes.ForEach([&](const state::NodePtr& node) {
    std::string name = pb::NodeState_Name(node->state());
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    ++nodes[name];
  });
  for (const auto& [name, count] : nodes) nodes_.Add({{"state", name}}).Set(count);
  term_.Set(static_cast<double>(state.term));
  queue_length_.Set(static_cast<double>(waiting));
  renewals_.Increment(static_cast<double>(counts.renewals) - renewals_.Value());
  expirations_.Increment(static_cast<double>(counts.expirations) - expirations_.Value());
}

}  // namespace ft::api
