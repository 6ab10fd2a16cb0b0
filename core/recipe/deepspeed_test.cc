#include "core/recipe/deepspeed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

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

// A number, or a word, of the file and the job's key that it becomes.
struct Mapped {
  std::string file;
  std::string key;  // A JSON pointer.
  Json value;
  Json another;
};

std::vector<Mapped> MappedKeys() {
  const auto computes = [](const char* key) { return StrCat(R"({"optimizer": {"params": {)", key, "}}}"); };
  const auto warms_up = [](const char* key) { return StrCat(R"({"scheduler": {"params": {)", key, "}}}"); };
  return {
      {R"({"train_micro_batch_size_per_gpu": 4})", "/train/micro_batch", 4, 2},
      {R"({"gradient_accumulation_steps": 4})", "/train/accumulation", 4, 2},
      {R"({"gradient_clipping": 0.5})", "/train/max_grad_norm", 0.5, 1},
      {R"({"gradient_clipping": 0})", "/train/max_grad_norm", 0, 1},
      {R"({"fp16": {"initial_scale_power": 12}})", "/train/loss_scale/initial", 4096, 65536},
      {R"({"fp16": {"loss_scale_window": 500}})", "/train/loss_scale/growth_steps", 500, 1000},
      {computes(R"("lr": 3e-5)"), "/train/optimizer/lr", 3e-5, 1e-4},
      {computes(R"("betas": [0.9, 0.95])"), "/train/optimizer/betas", {0.9, 0.95}, {0.9, 0.999}},
      {computes(R"("eps": 1e-7)"), "/train/optimizer/eps", 1e-7, 1e-8},
      {computes(R"("weight_decay": 0.25)"), "/train/optimizer/weight_decay", 0.25, 0},
      {R"({"scheduler": {"type": "WarmupDecayLR"}})", "/train/schedule/kind", "linear", "cosine"},
      {warms_up(R"("warmup_max_lr": 3e-5)"), "/train/optimizer/lr", 3e-5, 1e-4},
      {warms_up(R"("warmup_num_steps": 100)"), "/train/schedule/warmup", 100, 0.5},
      {warms_up(R"("total_num_steps": 1000)"), "/train/max_steps", 1000, 10},
  };
}

// What stands beside model and data in a job with this key.
std::string WithKey(const std::string& pointer, const Json& value) {
  Json job = Json::object();
  job[Json::json_pointer(pointer)] = value;
  const std::string text = job.dump();
  return text.substr(1, text.size() - 2);
}

TEST(DeepspeedFileTest, WhatTheJobLeavesOutIsTakenAndWhatBothSayMustAgree) {
  for (const Mapped& key : MappedKeys()) {
    const Json::json_pointer at(key.key);
    const Read open = Of(key.file);
    ASSERT_TRUE(open.status.ok()) << key.file << ": " << open.status;
    EXPECT_EQ(ToWholeTree(open.spec)[at], key.value) << key.file;
    const Read same = Of(key.file, WithKey(key.key, key.value));
    ASSERT_TRUE(same.status.ok()) << key.file << ": " << same.status;
    EXPECT_EQ(ToWholeTree(same.spec)[at], key.value) << key.file;
    EXPECT_THAT(same.file.remarks, IsEmpty()) << key.file;
    EXPECT_THAT(Refused(key.file, WithKey(key.key, key.another)), HasSubstr(" contradicts the job's "))
        << key.file;
  }
}

TEST(DeepspeedFileTest, NumbersOfOneFileMustAgree) {
  const std::string_view file = R"({"optimizer": {"params": {"lr": 3e-5}},
                                    "scheduler": {"params": {"warmup_max_lr": 1e-4}}})";
  const std::string sentence =
      "ds.json: scheduler.params.warmup_max_lr: 0.0001 contradicts optimizer.params.lr of the same file: "
      "make them equal, or take one out";
  EXPECT_EQ(Refused(file), sentence);
  EXPECT_EQ(Refused(file, R"("compat": "xtuner-0.1.9")"), sentence);
  EXPECT_THAT(Refused(file, R"("train": {"optimizer": {"lr": 3e-5}})"),
              HasSubstr("contradicts the job's train.optimizer.lr"));
}

// A share of the steps is no number of steps.
TEST(DeepspeedFileTest, NumbersOfStepsAndPowersAreWhole) {
  EXPECT_EQ(Refused(R"({"scheduler": {"params": {"warmup_num_steps": 0.1}}})"),
            "ds.json: scheduler.params.warmup_num_steps: expects a whole number or \"auto\", got 0.1");
  EXPECT_EQ(Refused(R"({"fp16": {"initial_scale_power": 2.5}})"),
            "ds.json: fp16.initial_scale_power: expects a whole number, got 2.5");
  EXPECT_THAT(Refused(R"({"scheduler": {"params": {"total_num_steps": 2.5}}})"),
              HasSubstr("expects a whole number, got 2.5"));
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

// As DeepSpeed computes it, whoever says the accumulation.
TEST(DeepspeedFileTest, ABatchGivesTheMicroBatchThatIsOpen) {
  const Read by_file =
      Of(R"({"train_batch_size": 32, "gradient_accumulation_steps": 4})", R"("parallel": {"ranks": 2})");
  ASSERT_TRUE(by_file.status.ok()) << by_file.status;
  EXPECT_EQ(by_file.spec.train.micro_batch, 4);
  EXPECT_EQ(Became(by_file, "train_batch_size"), "train.micro_batch: 4");
  EXPECT_EQ(Of(R"({"train_batch_size": 32})", R"("train": {"accumulation": 8})").spec.train.micro_batch, 4);
  EXPECT_EQ(Refused(R"({"train_batch_size": 30})", R"("train": {"accumulation": 8})"),
            "ds.json: train_batch_size: 30 contradicts the job's parallel.ranks: 1 x train.accumulation: 8; "
            "make them equal, or write \"auto\" where DeepSpeed takes it");
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
  const Read on_disk = Of(
      R"({"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "nvme", "nvme_path": "/n"}}})");
  EXPECT_EQ(on_disk.spec.parallel.offload.optimizer, "disk");
  EXPECT_EQ(on_disk.spec.parallel.offload.path, "/n");
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

// What is there is off where DeepSpeed leaves it off, and on where DeepSpeed does it.
TEST(DeepspeedFileTest, WhatIsOffPassesAndWhatIsOnIsRefused) {
  for (const char* off :
       {R"("amp": {"enabled": false, "opt_level": "O1"})",
        R"("amp": {"opt_level": "O1"})",
        R"("amp": {})",
        R"("elasticity": null)",
        R"("torch_autocast": {"enabled": false})",
        R"("data_efficiency": {"enabled": false, "data_sampling": {"enabled": true}})",
        R"("compression_training": {"weight_quantization": {"shared_parameters": {"enabled": false}}})",
        R"("compile": {"backend": "inductor"})",
        R"("compile": {"deepcompile": false})",
        R"("expert_parallel": {"autoep_size": 1})",
        R"("sparse_attention": null)",
        R"("weight_quantization": {"enabled": false})",
        R"("zero_optimization": {"zenflow": null})",
        R"("zero_optimization": {"zero_hpz_partition_size": 0})",
        R"("sparse_gradients": false)",
        R"("sequence_parallel_size": 1)",
        R"("autotp_size": 0)",
        R"("autotp_size": 1)",
        R"("pipeline": {"stages": "auto", "partition": "best"})",
        R"("tensor_parallel": {"autotp_size": 1, "tp": {"tp_size": 1}})"}) {
    EXPECT_TRUE(Of(StrCat("{", off, "}")).status.ok()) << off << ": " << Refused(StrCat("{", off, "}"));
  }
  for (const char* on :
       {R"("amp": {"enabled": true})",
        R"("amp": 1)",
        R"("amp": {"enabled": 1})",
        R"("elasticity": true)",
        R"("compression_training": {"weight_quantization": {"shared_parameters": {"enabled": true}}})",
        R"("compile": {"deepcompile": true})",
        R"("compile": {"enabled": true})",
        R"("autotuning": 0.5)",
        R"("sparse_attention": {})",
        R"("sparse_attention": {"mode": "fixed"})",
        R"("weight_quantization": {})",
        R"("weight_quantization": {"num_bits": 8})",
        R"("zero_optimization": {"zenflow": {}})",
        R"("zero_optimization": {"zenflow": {"topk_ratio": 0.1}})",
        R"("zero_optimization": {"zeropp_loco_param": {"err_beta": 0.8}})",
        R"("sparse_gradients": true)",
        R"("sparse_gradients": 1)",
        R"("sequence_parallel_size": 2)",
        R"("sequence_parallel_size": 0.5)",
        R"("autotp_size": -1)",
        R"("expert_parallel": {"enabled": true})",
        R"("expert_parallel_size": 2)",
        R"("pipeline": {"stages": 2})",
        R"("tensor_parallel": {"autotp_size": 2})",
        R"("tensor_parallel": {"tp": {"tp_size": 2}})"}) {
    EXPECT_THAT(Refused(StrCat("{", on, "}")), HasSubstr(" is not supported yet: ")) << on;
  }
}

TEST(DeepspeedFileTest, OldNamesAndKeysOfLateVersionsAreKnown) {
  const Read read = Of(R"({"bfloat16": {"enabled": true, "check_grad_overflow": true},
    "fp32_allreduce": true, "graph_harvesting": true, "log_level": "info", "gradient_allreduce_op": "mean",
    "optimizer": {"type": "Adam", "params": {"fused": true, "maximize": false}},
    "zero_optimization": {"stage": 1, "stage3_use_all_reduce_for_fetch_params": true, "leaf_module": {},
      "stage3_allgather_sequential": true, "override_module_apply": true, "cpu_offload_param": false,
      "enable_sanity_checks": true, "max_live_parameters": 1e9, "cpu_offload_use_pin_memory": true,
      "stage3_partition_stream_chunk_size": 0, "offload_param": {"device": "none", "fast_init": true}}})");
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_EQ(read.spec.model.dtype, "bf16");
  EXPECT_EQ(read.spec.parallel.zero, 1);
  EXPECT_EQ(Became(read, "bfloat16.enabled"), "model.dtype: bf16");
  EXPECT_EQ(Became(read, "optimizer.params.fused"), "kernels follow from the machine");
  EXPECT_THAT(read.file.remarks, ElementsAre(HasSubstr("fp32_allreduce, graph_harvesting, log_level, ")));
  EXPECT_THAT(Refused(R"({"bfloat16": {"enabled": true}, "fp16": {"enabled": true}})"),
              HasSubstr("fp16.enabled: is true beside bf16.enabled"));
  EXPECT_THAT(Refused(R"({"gradient_allreduce_op": "sum"})"), HasSubstr("it would change the result's bits"));
  EXPECT_THAT(Refused(R"({"zero_optimization": {"cpu_offload_param": true}})"),
              HasSubstr("use offload_param with device cpu"));
  EXPECT_THAT(Refused(R"({"zenflow": {}})"), HasSubstr("did you mean 'zero_optimization.zenflow'?"));
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

// A rule cannot name a key of the job that there is not, nor stand twice, nor below what holds no keys.
TEST(DeepspeedFileTest, RulesNameKeysOfTheJob) {
  using enum DeepspeedRule;
  const Json whole = ToWholeTree(JobSpec());
  std::map<std::string, DeepspeedRule> by_path;
  for (const DeepspeedKeyRule& rule : DeepspeedKeyRules())
    EXPECT_TRUE(by_path.emplace(rule.path, rule.rule).second) << rule.path;
  const std::set<DeepspeedRule> mapped = {kNumber, kCount, kStage, kTier, kPowerOfTwo};
  const std::set<DeepspeedRule> noted = {kOnly, kNoMeaning, kOffUnless, kOnIfThere};
  for (const DeepspeedKeyRule& rule : DeepspeedKeyRules()) {
    if (const size_t dot = rule.path.rfind('.'); dot != std::string::npos) {
      EXPECT_EQ(by_path[rule.path.substr(0, dot)], kObject) << rule.path;
    }
    EXPECT_EQ(rule.note.empty(), !noted.contains(rule.rule) && rule.rule != kTierPath &&
                                     rule.rule != kOptimizerType && rule.rule != kSchedulerType)
        << rule.path;
    if (rule.rule == kOnly || rule.rule == kOffUnless) {
      EXPECT_TRUE(Json::parse(rule.word).is_array()) << rule.path;
    }
    if (!mapped.contains(rule.rule)) continue;
    std::string pointer = StrCat("/", rule.word);
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    EXPECT_TRUE(whole.contains(Json::json_pointer(pointer))) << rule.path;
  }
}

}  // namespace
}  // namespace ft::recipe
