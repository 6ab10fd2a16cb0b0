#include "worker/node/agent/metrics.h"

#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <initializer_list>

#include "core/recipe/job_spec.h"
#include "nlohmann/json.hpp"

namespace ft::agent {
namespace {

// A step on a small model takes 50 ms, one of a large model over slow links minutes.
const prometheus::Histogram::BucketBoundaries kStepSeconds = {.05, .1,  .2,   .4,   .8,   1.6,
                                                              3.2, 6.4, 12.8, 25.6, 51.2, 102.4};

auto& Gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

auto& Counter(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

// The value at a path of keys, or null.
nlohmann::json At(const nlohmann::json& json, std::initializer_list<const char*> path) {
  const nlohmann::json* node = &json;
  for (const char* key : path) {
    if (!node->is_object() || !node->contains(key)) return nullptr;
    node = &node->at(key);
  }
  return *node;
}

std::string TextAt(const nlohmann::json& json, std::initializer_list<const char*> path) {
  const nlohmann::json value = At(json, path);
  return value.is_string() ? value.get<std::string>() : std::string();
}

int64_t NumberAt(const nlohmann::json& json, std::initializer_list<const char*> path) {
  const nlohmann::json value = At(json, path);
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}

}  // namespace

JobInfo JobInfoOf(std::string_view job_json) {
  const auto json = nlohmann::json::parse(job_json, nullptr, /*allow_exceptions=*/false);
  return {.queue = TextAt(json, {"spec", "resources", "queue"}),
          .method = TextAt(json, {"spec", "method", "kind"}),
          .base_model = std::filesystem::path(TextAt(json, {"spec", "model", "source"})).filename().string(),
          .zero_stage = NumberAt(json, {"spec", "parallel", "zero"}),
          .world_size = NumberAt(json, {"run", "world_size"})};
}

Metrics::Metrics(const std::string& node_id)
    : node_id_(node_id),
      registry_(std::make_shared<prometheus::Registry>()),
      ranks_(Gauge(*registry_, "finetune_worker_ranks", "Ranks on this node by state.")),
      spool_(Gauge(*registry_, "finetune_worker_spool_bytes", "Written by ranks and not yet acknowledged.")),
      lease_age_(Gauge(*registry_, "finetune_worker_lease_age_seconds", "Since the last answered renewal.")),
      card_use_(
          Gauge(*registry_, "finetune_device_utilization_ratio", "Share of time in which a card computed.")),
      card_memory_used_(Gauge(*registry_, "finetune_device_memory_used_bytes", "A card's memory in use.")),
      card_memory_(Gauge(*registry_, "finetune_device_memory_bytes", "A card's memory.")),
      card_temperature_(Gauge(*registry_, "finetune_device_temperature_celsius", "Temperature of a card.")),
      card_power_(Gauge(*registry_, "finetune_device_power_watts", "Power that a card draws.")),
      card_ecc_errors_(
          Gauge(*registry_, "finetune_device_uncorrected_ecc_errors",
                "Memory errors of a card that could not be corrected, since its driver was loaded.")),
      exits_(Counter(*registry_, "finetune_worker_rank_exits_total", "Ended ranks.")),
      step_(Gauge(*registry_, "finetune_train_step", "Newest step.")),
      planned_(Gauge(*registry_, "finetune_train_steps_planned", "Steps of the whole job.")),
      loss_(Gauge(*registry_, "finetune_train_loss", "Loss of the newest step.")),
      eval_loss_(Gauge(*registry_, "finetune_eval_loss", "Newest held-out loss.")),
      perplexity_(Gauge(*registry_, "finetune_eval_perplexity",
                        "Newest perplexity of a file of held-out data, by its name.")),
      score_(Gauge(*registry_, "finetune_eval_score_ratio",
                   "Newest average share of a benchmark's questions that were answered right.")),
      rate_(Gauge(*registry_, "finetune_train_learning_rate", "Learning rate of the newest step.")),
      norm_(Gauge(*registry_, "finetune_train_gradient_norm", "Gradient norm before clipping.")),
      progress_(
          Gauge(*registry_, "finetune_train_last_progress_timestamp_seconds", "When the newest step ended.")),
      info_(Gauge(*registry_, "finetune_job_info", "What a job trains, for joins.")),
      tokens_(Counter(*registry_, "finetune_train_tokens_total", "Tokens trained on.")),
      samples_(Counter(*registry_, "finetune_train_samples_total", "Samples trained on.")),
      skipped_(Counter(*registry_, "finetune_train_skipped_steps_total",
                       "Steps whose gradients were not finite.")),
      step_seconds_(prometheus::BuildHistogram()
                        .Name("finetune_train_step_duration_seconds")
                        .Help("Wall time of a step.")
                        .Register(*registry_)) {
  Gauge(*registry_, "finetune_worker_info", "What runs.")
      .Add({{"node_id", node_id}, {"version", FT_VERSION}})
      .Set(1);
}

template <typename T, typename... Rest>
T& Metrics::Series(prometheus::Family<T>& family, const std::string& job_id, prometheus::Labels labels,
                   const Rest&... rest) {
  labels["job_id"] = job_id;
  T& series = family.Add(labels, rest...);
  removals_[job_id].try_emplace(&series, [&family, &series] { family.Remove(&series); });
  return series;
}

void Metrics::Set(Gauges& family, const std::string& job_id, double value) {
  Series(family, job_id, {}).Set(value);
}

void Metrics::Count(Counters& family, const std::string& job_id, double value) {
  Series(family, job_id, {}).Increment(value);
}

// Records say how many samples the whole job has seen. A job that went back to a checkpoint sees some of them
// again; an agent that starts in mid-job does not know how many were seen before.
void Metrics::CountSamples(const std::string& job_id, int64_t step, int64_t seen) {
  int64_t& last = samples_seen_.try_emplace(job_id, -1).first->second;
  if (last < 0) last = step == 1 ? 0 : seen;
  Count(samples_, job_id, static_cast<double>(std::max<int64_t>(seen - last, 0)));
  last = seen;
}

void Metrics::OnJob(const std::string& job_id, const JobInfo& info) {
  samples_seen_.try_emplace(job_id, -1);
  Series(info_, job_id,
         {{"queue", info.queue},
          {"method", info.method},
          {"base_model", info.base_model},
          {"zero_stage", std::to_string(info.zero_stage)},
          {"world_size", std::to_string(info.world_size)}})
      .Set(1);
}

void Metrics::OnEval(const std::string& job_id, const finetune::worker::v1::EvalRecord& eval) {
  if (eval.name() == recipe::kHoldout) return Set(eval_loss_, job_id, eval.loss());
  Series(perplexity_, job_id, {{"set", eval.name()}}).Set(std::exp(eval.loss()));
}

void Metrics::OnRecord(const std::string& job_id, const finetune::worker::v1::RankRecord& record) {
  if (record.has_plan()) Set(planned_, job_id, static_cast<double>(record.plan().total_steps()));
  if (record.has_eval()) OnEval(job_id, record.eval());
  if (record.has_score()) Set(score_, job_id, record.score().average() / 100);
  if (!record.has_step()) return;
  const auto& step = record.step();
  Set(step_, job_id, static_cast<double>(step.step()));
  Set(loss_, job_id, step.loss());
  Set(rate_, job_id, step.learning_rate());
  Set(norm_, job_id, step.gradient_norm());
  Set(progress_, job_id, static_cast<double>(record.unix_nanos()) * 1e-9);
  Series(step_seconds_, job_id, {}, kStepSeconds).Observe(step.seconds());
  Count(tokens_, job_id, static_cast<double>(step.tokens()));
  CountSamples(job_id, step.step(), step.samples_seen());
  Count(skipped_, job_id, step.skipped() ? 1 : 0);
}

void Metrics::OnJobGone(const std::string& job_id) {
  for (const auto& [series, remove] : removals_[job_id]) remove();
  removals_.erase(job_id);
  samples_seen_.erase(job_id);
}

void Metrics::OnExit(int wait_status) {
  const bool clean = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) <= 1;
  exits_.Add({{"node_id", node_id_}, {"class", clean ? "REPORTED" : "UNKNOWN_EXIT"}}).Increment();
}

void Metrics::Refresh(int running, int exited, int64_t spool_bytes, double lease_age_seconds) {
  ranks_.Add({{"node_id", node_id_}, {"state", "running"}}).Set(running);
  ranks_.Add({{"node_id", node_id_}, {"state", "exited"}}).Set(exited);
  spool_.Add({{"node_id", node_id_}, {"kind", "all"}}).Set(static_cast<double>(spool_bytes));
  lease_age_.Add({{"node_id", node_id_}}).Set(lease_age_seconds);
}

void Metrics::OnCard(const CardReading& card) {
  const auto set = [&](Gauges& family, const auto& figure) {
    if (!figure) return;
    family.Add({{"node_id", node_id_}, {"device", card.uuid}, {"model", card.model}})
        .Set(static_cast<double>(*figure));
  };
  set(card_use_, card.utilization);
  set(card_memory_used_, card.memory_used_bytes);
  set(card_memory_, card.memory_bytes);
  set(card_temperature_, card.temperature_celsius);
  set(card_power_, card.power_watts);
  set(card_ecc_errors_, card.uncorrected_ecc_errors);
}

}  // namespace ft::agent
