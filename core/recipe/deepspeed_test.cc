#include "core/recipe/deepspeed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/recipe/deepspeed_keys.h"
#include "core/recipe/json.h"
#include "core/recipe/parse.h"
#include "core/recipe/sharding.h"
#include "core/recipe/strict_json.h"

namespace ft::recipe {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kJob = R"("model": "m", "data": [{"source": "d"}])";

struct Read {
  Status status;
  DeepspeedFile file;
  JobSpec spec;
};

// What the file makes of a job that has `more` beside model and data.
Read Of(std::string_view text, std::string_view more = "") {
  Json job = Json::parse(StrCat("{", kJob, more.empty() ? "" : ", ", more, "}"));
  const StatusOr<JobSpec> before = ParseJob(job.dump(), "job.yaml");
  if (!before.ok()) return {.status = before.status()};
  StatusOr<DeepspeedFile> taken = TakeDeepspeedFile(text, "ds.json", *before, job);
  if (!taken.ok()) return {.status = taken.status()};
  StatusOr<JobSpec> after = ParseJob(job.dump(), "job.yaml");
  if (!after.ok()) return {.status = after.status()};
  return {.file = *std::move(taken), .spec = *std::move(after)};
}

std::string Refused(std::string_view text, std::string_view more = "") {
  return std::string(Message(Of(text, more).status));
}

std::string Became(const Read& read, std::string_view path) {
  for (const DeepspeedKey& key : read.file.keys) {
    if (key.path == path) return key.became;
  }
  return "";
}

// What XTuner 0.1.9 ships has these keys around each `zero_optimization`.
std::string AsShipped(std::string_view zero) {
  return StrCat(R"({"gradient_accumulation_steps": "auto", "train_micro_batch_size_per_gpu": "auto",
    "gradient_clipping": "auto", "zero_allow_untested_optimizer": true, "zero_force_ds_cpu_optimizer": false,
    "zero_optimization": {)",
                zero,
                R"(}, "fp16": {"enabled": "auto", "initial_scale_power": 16}, "bf16": {"enabled": "auto"}})");
}

TEST(DeepspeedFileTest, TheFilesThatXTunerShipsAreTheNamesSettings) {
  const std::string cpu = R"({"device": "cpu", "pin_memory": true})";
  const std::string third =
      R"("stage": 3, "overlap_comm": true, "stage3_gather_16bit_weights_on_model_save": true)";
  const std::pair<std::string, std::string> files[] = {
      {"deepspeed_zero1", R"("stage": 1, "overlap_comm": true)"},
      {"deepspeed_zero2", R"("stage": 2, "overlap_comm": true)"},
      {"deepspeed_zero2_offload", StrCat(R"("stage": 2, "overlap_comm": true, "offload_optimizer": )", cpu)},
      {"deepspeed_zero3", third},
      {"deepspeed_zero3_offload",
       StrCat(third, R"(, "offload_optimizer": )", cpu, R"(, "offload_param": )", cpu)}};
  for (const auto& [name, zero] : files) {
    const Read read = Of(AsShipped(zero), R"("parallel": {"ranks": 2})");
    ASSERT_TRUE(read.status.ok()) << name << ": " << read.status;
    const auto named =
        ParseJob(StrCat("{", kJob, R"(, "parallel": {"ranks": 2, "deepspeed": ")", name, "\"}}"), "job.yaml");
    EXPECT_EQ(ToJson(read.spec), ToJson(*named)) << name;
    // Stages and offload that are not built are refused where the names are.
    EXPECT_EQ(Sharding::Of(read.spec).status(), Sharding::Of(*named).status()) << name;
  }
}

TEST(DeepspeedFileTest, EveryKeyIsToldWhatItBecame) {
  const Read read =
      Of(R"({"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 8, "train_batch_size": 32,
    "gradient_clipping": 0.5, "zero_optimization": {"stage": 2, "reduce_bucket_size": 5e8},
    "fp16": {"enabled": true, "initial_scale_power": 12, "loss_scale_window": 1000, "hysteresis": 2},
    "optimizer": {"type": "AdamW", "params": {"lr": 3e-5, "betas": [0.9, 0.95], "eps": "auto", "weight_decay": 0.1}},
    "scheduler": {"type": "WarmupDecayLR", "params": {"warmup_num_steps": 100, "warmup_min_lr": 0}},
    "elasticity": {"enabled": false}, "steps_per_print": 10})",
         R"("parallel": {"ranks": 2})");
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_EQ(read.spec.train.micro_batch, 2);
  EXPECT_EQ(read.spec.train.accumulation, 8);
  EXPECT_EQ(read.spec.train.max_grad_norm, 0.5);
  EXPECT_EQ(read.spec.parallel.zero, 2);
  EXPECT_EQ(read.spec.model.source, "m");
  EXPECT_EQ(read.spec.model.dtype, "fp16");
  EXPECT_EQ(read.spec.train.loss_scale.initial, 4096);
  EXPECT_EQ(read.spec.train.loss_scale.growth_steps, 1000);
  EXPECT_EQ(read.spec.train.optimizer.lr, 3e-5);
  EXPECT_EQ(read.spec.train.optimizer.beta2, 0.95);
  EXPECT_EQ(read.spec.train.optimizer.weight_decay, 0.1);
  EXPECT_EQ(read.spec.train.schedule.kind, "linear");
  EXPECT_EQ(read.spec.train.schedule.warmup, 100);
  EXPECT_EQ(Became(read, "zero_optimization.stage"), "parallel.zero: 2");
  EXPECT_EQ(Became(read, "fp16.initial_scale_power"), "train.loss_scale.initial: 4096");
  EXPECT_EQ(Became(read, "optimizer.params.eps"), "the job's train.optimizer.eps");
  EXPECT_EQ(Became(read, "elasticity"), "off, as here");
  EXPECT_EQ(Became(read, "train_batch_size"),
            "train.micro_batch: 2 x parallel.ranks: 2 x train.accumulation: 8");
  EXPECT_THAT(
      read.file.remarks,
      ElementsAre("ds.json: without meaning here: zero_optimization.reduce_bucket_size, fp16.hysteresis, "
                  "steps_per_print"));
}

TEST(DeepspeedFileTest, ABatchGivesTheAccumulationThatIsOpen) {
  EXPECT_EQ(Of(R"({"train_batch_size": 32})", R"("train": {"micro_batch": 2}, "parallel": {"ranks": 4})")
                .spec.train.accumulation,
            4);
  EXPECT_THAT(
      Refused(R"({"train_batch_size": 20})", R"("train": {"micro_batch": 2}, "parallel": {"ranks": 4})"),
      HasSubstr(
          "ds.json: train_batch_size: 20 contradicts the job's train.micro_batch: 2 x parallel.ranks: 4; "
          "make them equal"));
}

TEST(DeepspeedFileTest, NumbersThatContradictTheJobAreRefused) {
  EXPECT_EQ(Refused(R"({"train_micro_batch_size_per_gpu": 4})", R"("train": {"micro_batch": 2})"),
            "ds.json: train_micro_batch_size_per_gpu: 4 contradicts the job's train.micro_batch: 2; make "
            "them equal, or "
            "write \"auto\" where DeepSpeed takes it");
  EXPECT_THAT(Refused(R"({"gradient_clipping": 2})", R"("train": {"max_grad_norm": 1})"),
              HasSubstr("gradient_clipping: 2 contradicts the job's train.max_grad_norm: 1"));
  EXPECT_THAT(
      Refused(R"({"optimizer": {"params": {"betas": [0.9, 0.9]}}})",
              R"("train": {"optimizer": {"betas": [0.9, 0.999]}})"),
      HasSubstr(
          "optimizer.params.betas: [0.9,0.9] contradicts the job's train.optimizer.betas: [0.9,0.999]"));
  EXPECT_THAT(
      Refused(R"({"train_batch_size": 64})", R"("train": {"micro_batch": 2, "accumulation": 4})"),
      HasSubstr("train_batch_size: 64 contradicts the job's train.micro_batch: 2 x parallel.ranks: 1 x "
                "train.accumulation: 4"));
  EXPECT_THAT(Refused(R"({"fp16": {"enabled": true}})", R"("model": {"source": "m", "dtype": "bf16"})"),
              HasSubstr("fp16.enabled: true contradicts the job's model.dtype: \"bf16\""));
  EXPECT_THAT(Refused(R"({"zero_optimization": {"stage": 2}})", R"("parallel": {"zero": 1})"),
              HasSubstr("zero_optimization.stage: 2 contradicts the job's parallel.zero: 1"));
  EXPECT_TRUE(Of(R"({"gradient_accumulation_steps": 4})", R"("train": {"accumulation": 0})").status.ok());
}

TEST(DeepspeedFileTest, AdamWIsWhicheverAdamWTheJobSays) {
  constexpr std::string_view kFile = R"({"optimizer": {"type": "AdamW"}})";
  const auto with = [](std::string_view kind) {
    return StrCat(R"("train": {"optimizer": {"kind": ")", kind, R"(", "lr": 0.1}})");
  };
  const Read read = Of(kFile, with("adamw_8bit"));
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_EQ(Became(read, "optimizer.type"), "train.optimizer.kind: adamw_8bit");
  EXPECT_THAT(Refused(kFile, with("sgd")),
              HasSubstr("optimizer.type: \"AdamW\" contradicts the job's train.optimizer.kind: sgd"));
}

TEST(DeepspeedFileTest, WithXTunersHabitsTheRecipeWinsAndSaysSo) {
  const Read read =
      Of(R"({"train_micro_batch_size_per_gpu": 4, "train_batch_size": 64, "gradient_clipping": 2})",
         R"("compat": "xtuner-0.1.9", "train": {"micro_batch": 2, "accumulation": 4, "max_grad_norm": 1})");
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_EQ(read.spec.train.micro_batch, 2);
  EXPECT_EQ(read.spec.train.max_grad_norm, 1);
  EXPECT_THAT(
      read.file.remarks,
      ElementsAre("ds.json: train_micro_batch_size_per_gpu: 4 gives way to the recipe's train.micro_batch: 2",
                  "ds.json: gradient_clipping: 2 gives way to the recipe's train.max_grad_norm: 1",
                  "ds.json: train_batch_size: 64 gives way to the recipe's train.micro_batch: 2 x "
                  "parallel.ranks: 1 x train.accumulation: 4"));
}

TEST(DeepspeedFileTest, WhatCannotBeIsRefusedWithItsPath) {
  const auto refused = [](std::string_view text) { return Refused(text); };
  EXPECT_EQ(refused(R"({"fp16": {"enabled": true}, "bf16": {"enabled": true}})"),
            "ds.json: fp16.enabled: is true beside bf16.enabled: switch one of the two off");
  EXPECT_EQ(refused(R"({"zero_optimization": {"stage": 5}})"),
            "ds.json: zero_optimization.stage: '5' is none of: 0, 1, 2, 3");
  EXPECT_THAT(refused(R"({"zero_optimization": {"stage": "auto"}})"), HasSubstr("is none of: 0, 1, 2, 3"));
  EXPECT_EQ(refused(R"({"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme"}}})"),
            "ds.json: zero_optimization.offload_param.device: is nvme and there is no nvme_path beside it: "
            "give the "
            "folder");
  EXPECT_EQ(
      Of(R"({"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme", "nvme_path": "/n"}}})")
          .spec.parallel.offload.parameters,
      "disk");
  EXPECT_THAT(refused(R"({"zero_optimization": {"stage": 2, "offload_param": {"device": "cpu"}}})"),
              HasSubstr("ds.json: zero_optimization.offload_param: needs stage 3: take it out"));
  EXPECT_THAT(refused(R"({"zero_optimization": {"offload_optimizer": {"device": "disk"}}})"),
              HasSubstr("is none of: cpu, nvme, none"));
  EXPECT_THAT(refused(R"({"zero_optimization": true})"), HasSubstr("expects a mapping of keys, got true"));
  EXPECT_THAT(refused(R"({"optimizer": {"type": "OneBitAdam"}})"),
              HasSubstr("optimizer.type: \"OneBitAdam\" is not supported yet: use AdamW"));
  EXPECT_THAT(refused(R"({"elasticity": {"enabled": true}})"),
              HasSubstr("is not supported yet: use parallel.min_ranks and parallel.max_ranks"));
  EXPECT_THAT(refused(R"({"zero_optimization": {"zero_hpz_partition_size": 8}})"),
              HasSubstr("zero_optimization.zero_hpz_partition_size: 8 is not supported yet"));
  EXPECT_THAT(refused(R"({"train_micro_batch_size_per_gpu": 2.5})"),
              HasSubstr("train_micro_batch_size_per_gpu: expects a whole number, got 2.5"));
  EXPECT_THAT(refused(R"({"fp16": {"initial_scale_power": 99}})"), HasSubstr("is not between 1 and"));
  EXPECT_THAT(refused(R"({"fp16": {"initial_scale_power": 1e300}})"), Not(IsEmpty()));
  EXPECT_THAT(refused(R"({"gradient_clipping": {}})"), HasSubstr("expects a number or \"auto\", got {}"));
}

TEST(DeepspeedFileTest, UnknownKeysAreToldTheNearest) {
  EXPECT_EQ(Refused(R"({"zero_optimisation": {"stage": 2}})"),
            "ds.json: zero_optimisation: unknown key, did you mean 'zero_optimization'?");
  EXPECT_THAT(
      Refused(R"({"zero_optimization": {"ofload_optimizer": {}}})"),
      HasSubstr("zero_optimization.ofload_optimizer: unknown key, did you mean 'offload_optimizer'?"));
  EXPECT_THAT(Refused(R"({"stage": 2})"),
              HasSubstr("stage: unknown key, did you mean 'zero_optimization.stage'?"));
  EXPECT_EQ(Refused(R"({"qqqqqq": 1})"), "ds.json: qqqqqq: unknown key");
  std::string many = "{";
  for (int i = 0; i < 2000; ++i) StrAppend(&many, i == 0 ? "" : ",", "\"unknown_key_", i, "\": 1");
  const std::string refused = Refused(many + "}");
  EXPECT_EQ(std::count(refused.begin(), refused.end(), '\n'), 19);  // A person reads no more.
}

TEST(DeepspeedFileTest, WhatIsNoJsonIsRefusedWithItsLine) {
  EXPECT_EQ(Refused("{\n\"zero_optimization\": {\"stage\": 2,\n"),
            "ds.json: ends before its JSON does, on line 3: write the rest");
  EXPECT_EQ(Refused(""), "ds.json: ends before its JSON does, on line 1: write the rest");
  EXPECT_THAT(Refused("{\n\"a\": nope}"), HasSubstr("ds.json: line 2 is no JSON from '"));
  EXPECT_EQ(Refused(R"({"fp16": {"enabled": true, "enabled": false}})"),
            "ds.json: fp16.enabled: is there twice: keep one of the two");
  EXPECT_EQ(Refused(std::string(10 << 20, '[')), "ds.json: has 10485760 bytes, at most 65536 are read");
  EXPECT_EQ(Refused(std::string(1 << 12, '[')),
            "ds.json: has more than 64 levels of brackets: take some out");
  EXPECT_THAT(Refused("[1]"), HasSubstr("ds.json: holds no mapping of keys"));
  EXPECT_THAT(Refused("{\"a\": \"\xff\"}"), HasSubstr("is no JSON from"));
}

// A rule cannot name a key of the job that there is not.
TEST(DeepspeedFileTest, RulesNameKeysOfTheJob) {
  const Json whole = ToWholeTree(JobSpec());
  for (const DeepspeedKeyRule& rule : DeepspeedKeyRules()) {
    if (rule.rule == DeepspeedRule::kOnly) {
      EXPECT_TRUE(Json::parse(rule.word).is_array()) << rule.path;
      EXPECT_FALSE(rule.note.empty()) << rule.path;
    } else if (rule.rule == DeepspeedRule::kNumber || rule.rule == DeepspeedRule::kStage ||
               rule.rule == DeepspeedRule::kTier || rule.rule == DeepspeedRule::kPowerOfTwo) {
      std::string pointer = StrCat("/", rule.word);
      std::replace(pointer.begin(), pointer.end(), '.', '/');
      EXPECT_TRUE(whole.contains(Json::json_pointer(pointer))) << rule.path;
    } else if (rule.rule == DeepspeedRule::kNoMeaning || rule.rule == DeepspeedRule::kOff) {
      EXPECT_FALSE(rule.note.empty()) << rule.path;
    }
  }
}

}  // namespace
}  // namespace ft::recipe
