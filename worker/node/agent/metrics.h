// The worker's metrics: its own, and finetune_train_* that it derives from ranks' records, because ranks have
// no registry. Series of a job vanish when its last rank here is gone. Used on the agent's loop.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "finetune/worker/v1/records.pb.h"
#include "worker/node/agent/devices.h"

namespace ft::agent {

// What a job's series are joined with in queries.
struct JobInfo {
  std::string queue;
  std::string method;      // lora, qlora, ...
  std::string base_model;  // The last part of its source.
  int64_t zero_stage = 0;
  int64_t world_size = 0;
};

// Out of an attempt's job.json; what is not there stays empty.
JobInfo JobInfoOf(std::string_view job_json);

class Metrics {
 public:
  explicit Metrics(const std::string& node_id);
  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }
  void OnRecord(const std::string& job_id, const finetune::worker::v1::RankRecord& record);
  // Whether OnJob was called since the job came.
  bool Knows(const std::string& job_id) const { return samples_seen_.contains(job_id); }
  void OnJob(const std::string& job_id, const JobInfo& info);
  void OnJobGone(const std::string& job_id);
  void OnExit(int wait_status);
  void Refresh(int running, int exited, int64_t spool_bytes, double lease_age_seconds);
  // Figures that a card does not tell have no series; those of a card that is gone stay as they were last.
  void OnCard(const CardReading& card);

 private:
  using Gauges = prometheus::Family<prometheus::Gauge>;
  using Counters = prometheus::Family<prometheus::Counter>;
  using Histograms = prometheus::Family<prometheus::Histogram>;
  // The job's series, which vanishes with the job.
  template <typename T, typename... Rest>
  T& Series(prometheus::Family<T>& family, const std::string& job_id, prometheus::Labels labels,
            const Rest&... rest);
  void OnEval(const std::string& job_id, const finetune::worker::v1::EvalRecord& eval);
  void Set(Gauges& family, const std::string& job_id, double value);
  void Count(Counters& family, const std::string& job_id, double value);
  void CountSamples(const std::string& job_id, int64_t step, int64_t seen);

  const std::string node_id_;
  std::shared_ptr<prometheus::Registry> registry_;
  Gauges& ranks_;
  Gauges& spool_;
  Gauges& lease_age_;
  Gauges& card_use_;
  Gauges& card_memory_used_;
  Gauges& card_memory_;
  Gauges& card_temperature_;
  Gauges& card_power_;
  Gauges& card_ecc_errors_;
  Counters& exits_;
  Gauges& step_;
  Gauges& planned_;
  Gauges& loss_;
  Gauges& eval_loss_;
  Gauges& perplexity_;
  Gauges& score_;
  Gauges& rate_;
  Gauges& norm_;
  Gauges& progress_;
  Gauges& info_;
  Counters& tokens_;
  Counters& samples_;
  Counters& skipped_;
  Histograms& step_seconds_;
  // By job: how each of its series is removed, and the samples of its newest step (-1 = of none yet).
  std::map<std::string, std::map<const void*, std::function<void()>>> removals_;
  std::map<std::string, int64_t> samples_seen_;
};

}  // namespace ft::agent
