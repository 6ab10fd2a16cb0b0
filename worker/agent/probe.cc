#include "worker/agent/probe.h"

#include <sys/wait.h>

#include <algorithm>

namespace ft::agent {
namespace {

auto& Gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

auto& Counter(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

}  // namespace

Probe::Probe(const std::string& node_id)
    : node_id_(node_id),
      registry_(std::make_shared<prometheus::Registry>()),
      ranks_(Gauge(*registry_, "finetune_worker_ranks", "Ranks on this node by state.")),
      spool_(Gauge(*registry_, "finetune_worker_spool_bytes", "Written by ranks and not yet acknowledged.")),
      lease_age_(Gauge(*registry_, "finetune_worker_lease_age_seconds", "Since the last answered renewal.")),
      exits_(Counter(*registry_, "finetune_worker_rank_exits_total", "Ended ranks.")),
      step_(Gauge(*registry_, "finetune_train_step", "Newest step.")),
      planned_(Gauge(*registry_, "finetune_train_steps_planned", "Steps of the whole job.")),
      loss_(Gauge(*registry_, "finetune_train_loss", "Loss of the newest step.")),
      eval_loss_(Gauge(*registry_, "finetune_eval_loss", "Newest held-out loss.")),
      rate_(Gauge(*registry_, "finetune_train_learning_rate", "Learning rate of the newest step.")),
      norm_(Gauge(*registry_, "finetune_train_gradient_norm", "Gradient norm before clipping.")),
      progress_(
          Gauge(*registry_, "finetune_train_last_progress_timestamp_seconds", "When the newest step ended.")),
      tokens_(Counter(*registry_, "finetune_train_tokens_total", "Tokens trained on.")),
      skipped_(Counter(*registry_, "finetune_train_skipped_steps_total",
                       "Steps whose gradients were not finite.")) {
  Gauge(*registry_, "finetune_worker_info", "What runs.")
      .Add({{"node_id", node_id}, {"version", FT_VERSION}})
      .Set(1);
}

void Probe::Set(Gauges& family, const std::string& job_id, double value) {
  prometheus::Gauge& gauge = family.Add({{"job_id", job_id}});
  auto& known = job_gauges_[job_id];
  if (std::find(known.begin(), known.end(), std::make_pair(&family, &gauge)) == known.end()) {
    known.emplace_back(&family, &gauge);
  }
  gauge.Set(value);
}

void Probe::Count(Counters& family, const std::string& job_id, double value) {
  prometheus::Counter& counter = family.Add({{"job_id", job_id}});
  auto& known = job_counters_[job_id];
  if (std::find(known.begin(), known.end(), std::make_pair(&family, &counter)) == known.end()) {
    known.emplace_back(&family, &counter);
  }
  counter.Increment(value);
}

void Probe::OnRecord(const std::string& job_id, const finetune::worker::v1::RankRecord& record) {
  if (record.has_plan()) Set(planned_, job_id, static_cast<double>(record.plan().total_steps()));
  if (record.has_eval()) Set(eval_loss_, job_id, record.eval().loss());
  if (!record.has_step()) return;
  const auto& step = record.step();
  Set(step_, job_id, static_cast<double>(step.step()));
  Set(loss_, job_id, step.loss());
  Set(rate_, job_id, step.learning_rate());
  Set(norm_, job_id, step.gradient_norm());
  Set(progress_, job_id, static_cast<double>(record.unix_nanos()) * 1e-9);
  Count(tokens_, job_id, static_cast<double>(step.tokens()));
  Count(skipped_, job_id, step.skipped() ? 1 : 0);
}

void Probe::OnJobGone(const std::string& job_id) {
  for (auto& [family, gauge] : job_gauges_[job_id]) family->Remove(gauge);
  for (auto& [family, counter] : job_counters_[job_id]) family->Remove(counter);
  job_gauges_.erase(job_id);
  job_counters_.erase(job_id);
}

void Probe::OnExit(int wait_status) {
  const bool clean = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) <= 1;
  exits_.Add({{"node_id", node_id_}, {"class", clean ? "REPORTED" : "UNKNOWN_EXIT"}}).Increment();
}

void Probe::Refresh(int running, int exited, int64_t spool_bytes, double lease_age_seconds) {
  ranks_.Add({{"node_id", node_id_}, {"state", "running"}}).Set(running);
  ranks_.Add({{"node_id", node_id_}, {"state", "exited"}}).Set(exited);
  spool_.Add({{"node_id", node_id_}, {"kind", "all"}}).Set(static_cast<double>(spool_bytes));
  lease_age_.Add({{"node_id", node_id_}}).Set(lease_age_seconds);
}

}  // namespace ft::agent
