#include "worker/node/agent/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

namespace ft::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Scraped(const Metrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
}

finetune::worker::v1::RankRecord Step(int64_t step, int64_t samples_seen, double seconds) {
  finetune::worker::v1::RankRecord record;
  record.mutable_step()->set_step(step);
  record.mutable_step()->set_samples_seen(samples_seen);
  record.mutable_step()->set_seconds(seconds);
  return record;
}

TEST(WorkerMetrics, ACardHasTheSeriesOfWhatItTells) {
  Metrics metrics("n1");
  metrics.OnCard({.uuid = "GPU-1", .model = "A", .utilization = 0.5, .temperature_celsius = 61});
  const std::string text = Scraped(metrics);
  EXPECT_THAT(
      text, HasSubstr("finetune_device_utilization_ratio{device=\"GPU-1\",model=\"A\",node_id=\"n1\"} 0.5"));
  EXPECT_THAT(
      text, HasSubstr("finetune_device_temperature_celsius{device=\"GPU-1\",model=\"A\",node_id=\"n1\"} 61"));
  EXPECT_THAT(text, Not(HasSubstr("finetune_device_power_watts{")));
}

TEST(WorkerMetrics, StepsAreTimedAndSamplesAreCounted) {
  Metrics metrics("n1");
  metrics.OnRecord("j1", Step(1, 16, 0.3));
  metrics.OnRecord("j1", Step(2, 32, 7));
  const std::string text = Scraped(metrics);
  EXPECT_THAT(text, HasSubstr("finetune_train_samples_total{job_id=\"j1\"} 32"));
  EXPECT_THAT(text, HasSubstr("finetune_train_step_duration_seconds_bucket{job_id=\"j1\",le=\"0.4\"} 1"));
  EXPECT_THAT(text, HasSubstr("finetune_train_step_duration_seconds_count{job_id=\"j1\"} 2"));
}

TEST(WorkerMetrics, ABenchmarkIsAShare) {
  Metrics metrics("n1");
  finetune::worker::v1::RankRecord record;
  record.mutable_score()->set_average(62.5);
  metrics.OnRecord("j1", record);
  EXPECT_THAT(Scraped(metrics), HasSubstr("finetune_eval_score_ratio{job_id=\"j1\"} 0.625"));
}

TEST(WorkerMetrics, AFileOfHeldOutDataHasAPerplexityByItsName) {
  Metrics metrics("n1");
  finetune::worker::v1::RankRecord record;
  record.mutable_eval()->set_name("holdout");
  record.mutable_eval()->set_loss(1.5);
  metrics.OnRecord("j1", record);
  record.mutable_eval()->set_name("wiki");
  record.mutable_eval()->set_loss(0);
  metrics.OnRecord("j1", record);
  const std::string text = Scraped(metrics);
  EXPECT_THAT(text, HasSubstr("finetune_eval_loss{job_id=\"j1\"} 1.5"));
  EXPECT_THAT(text, HasSubstr("finetune_eval_perplexity{job_id=\"j1\",set=\"wiki\"} 1"));
  metrics.OnJobGone("j1");
  EXPECT_THAT(Scraped(metrics), Not(HasSubstr("finetune_eval_perplexity{")));
}

TEST(WorkerMetrics, SamplesBeforeTheAgentsStartAndAfterAStepBackAreNotGuessed) {
  Metrics metrics("n1");
  metrics.OnRecord("j1", Step(9, 144, 1));
  metrics.OnRecord("j1", Step(10, 160, 1));
  metrics.OnRecord("j1", Step(8, 128, 1));  // From a checkpoint.
  metrics.OnRecord("j1", Step(9, 144, 1));
  EXPECT_THAT(Scraped(metrics), HasSubstr("finetune_train_samples_total{job_id=\"j1\"} 32"));
}

TEST(WorkerMetrics, AJobIsDescribedUntilItIsGone) {
  Metrics metrics("n1");
  EXPECT_FALSE(metrics.Knows("j1"));
  metrics.OnJob("j1",
                JobInfoOf(R"({"spec": {"model": {"source": "/models/Llama-3"}, "method": {"kind": "qlora"},
      "resources": {"queue": "default"}, "parallel": {"zero": 0}}, "run": {"world_size": 2}})"));
  EXPECT_TRUE(metrics.Knows("j1"));
  metrics.OnRecord("j1", Step(1, 16, 1));
  const std::string text = Scraped(metrics);
  EXPECT_THAT(
      text,
      HasSubstr("finetune_job_info{base_model=\"Llama-3\",job_id=\"j1\",method=\"qlora\",queue=\"default\","
                "world_size=\"2\",zero_stage=\"0\"} 1"));
  metrics.OnJobGone("j1");
  EXPECT_FALSE(metrics.Knows("j1"));
  EXPECT_THAT(Scraped(metrics), Not(HasSubstr("job_id=\"j1\"")));
}

TEST(WorkerMetrics, AnUnreadableDescriptionIsEmpty) {
  for (const char* text : {"", "[]", R"({"spec": 3})", R"({"spec": {"method": {"kind": 7}}})"}) {
    EXPECT_EQ(JobInfoOf(text).method, "") << text;
  }
}

}  // namespace
}  // namespace ft::agent
