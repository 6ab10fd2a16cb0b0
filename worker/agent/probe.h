// The worker's metrics: its own, and finetune_train_* that it derives from ranks' records, because ranks have
// no registry. Series of a job vanish when its last rank here is gone. Used on the agent's loop.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "finetune/worker/v1/records.pb.h"

namespace ft::agent {

class Probe {
 public:
  explicit Probe(const std::string& node_id);
  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }
  void OnRecord(const std::string& job_id, const finetune::worker::v1::RankRecord& record);
  void OnJobGone(const std::string& job_id);
  void OnExit(int wait_status);
  void Refresh(int running, int exited, int64_t spool_bytes, double lease_age_seconds);

 private:
  using Gauges = prometheus::Family<prometheus::Gauge>;
  using Counters = prometheus::Family<prometheus::Counter>;
  void Set(Gauges& family, const std::string& job_id, double value);
  void Count(Counters& family, const std::string& job_id, double value);

  const std::string node_id_;
  std::shared_ptr<prometheus::Registry> registry_;
  Gauges& ranks_;
  Gauges& spool_;
  Gauges& lease_age_;
  Counters& exits_;
  Gauges& step_;
  Gauges& planned_;
  Gauges& loss_;
  Gauges& eval_loss_;
  Gauges& rate_;
  Gauges& norm_;
  Gauges& progress_;
  Counters& tokens_;
  Counters& skipped_;
  std::map<std::string, std::vector<std::pair<Gauges*, prometheus::Gauge*>>> job_gauges_;
  std::map<std::string, std::vector<std::pair<Counters*, prometheus::Counter*>>> job_counters_;
};

}  // namespace ft::agent
