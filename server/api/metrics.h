// The coordinator's own metrics (names of docs/metrics: finetune_*). Thread-safe.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "server/fleet/fleet.h"
#include "server/state/state_loop.h"

namespace ft::api {

namespace pb = finetune::v1;

class Metrics {
 public:
  Metrics();
  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

  void OnCommit(double seconds, size_t group);
  void OnChanges(const state::Changes& changes);
  void OnStoreError(const std::string& code);
  void OnCall(const std::string& method, const std::string& code, double seconds);
  // `port`: users or workers.
  void OnRefused(const std::string& port, const std::string& reason);
  void OnStaleEpoch(const std::string& method);
  void OnWatchEnd(const std::string& kind, const std::string& reason);
  void OnCheckpointRejected(const std::string& reason);
  // Gauges that are read off the state, once a second.
  void Refresh(const state::ClusterState& state, const fleet::FleetCounts& counts, size_t waiting);

 private:
  template <typename T>
  using Family = prometheus::Family<T>;

  // The tenant label of a namespace; all but the first few share one.
  std::string TenantOf(const std::string& namespace_id);

  std::mutex mutex_;  // Guards tenants_.
  std::set<std::string> tenants_;
  std::shared_ptr<prometheus::Registry> registry_;
  Family<prometheus::Counter>& calls_;
  Family<prometheus::Histogram>& call_seconds_;
  Family<prometheus::Gauge>& jobs_;
  Family<prometheus::Counter>& submitted_;
  Family<prometheus::Counter>& finished_;
  Family<prometheus::Counter>& attempts_;
  Family<prometheus::Gauge>& nodes_;
  Family<prometheus::Counter>& stale_;
  Family<prometheus::Counter>& store_errors_;
  Family<prometheus::Counter>& refused_;
  Family<prometheus::Counter>& watch_ends_;
  Family<prometheus::Counter>& checkpoints_rejected_;
  prometheus::Gauge& leader_;
  prometheus::Gauge& term_;
  prometheus::Histogram& commit_seconds_;
  prometheus::Histogram& group_size_;
  prometheus::Gauge& queue_length_;
  prometheus::Counter& checkpoints_;
  prometheus::Counter& renewals_;
  prometheus::Counter& expirations_;
};

}  // namespace ft::api
