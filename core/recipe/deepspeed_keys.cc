#include "core/recipe/deepspeed_keys.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace ft::recipe {
namespace {

using enum DeepspeedRule;

constexpr std::string_view kFixed = "what is exchanged, and when, follows from the model";
constexpr std::string_view kWatch = "ftctl metrics, events and logs tell it";
constexpr std::string_view kUnits = "sizes of buffers follow from the model";
constexpr std::string_view kKernels = "kernels follow from the machine";
constexpr std::string_view kWhole = "what a job writes is always whole";
constexpr std::string_view kAnyStage = "every optimizer here works at every stage";
constexpr std::string_view kJobsCheckpoints = "train.checkpoint of the job says it";
constexpr std::string_view kHalvesAtOnce = "an overflow halves the scale at once";
constexpr std::string_view kOtherBits = "it would change the result's bits: take it out";
constexpr std::string_view kTakeOut = "take it out";
constexpr std::string_view kFp32Masters = "what is trained and its moments are fp32: take it out";
constexpr std::string_view kFp32Sums = "sums are exchanged in fp32: use fp32";
constexpr std::string_view kFromZero = "the rate goes up from 0: use 0";
constexpr std::string_view kDtypeOfJob = "set model.dtype in the job";
constexpr std::string_view kWholeLayers = "every rank has whole layers and rows";
constexpr std::string_view kOneAtATime = "use parallel.ranks alone: every rank has whole layers and rows";

constexpr std::string_view kEnabled = R"(["enabled"])";

// Keys that one rule is for: each of `keys` under each of `above`, lists that are apart by |.
struct KeyGroup {
  std::string_view above;  // Empty: at the top.
  std::string_view keys;
  DeepspeedRule rule;
  std::string_view word = "";  // A * is the key.
  std::string_view note = "";
};

constexpr std::string_view kTop = "";
constexpr std::string_view kZero = "zero_optimization";
constexpr std::string_view kOptimizerTier = "zero_optimization.offload_optimizer";
constexpr std::string_view kParameterTier = "zero_optimization.offload_param";
constexpr std::string_view kTiers = "zero_optimization.offload_optimizer|zero_optimization.offload_param";
constexpr std::string_view kBf16 = "bf16|bfloat16";  // The latter in old files.
constexpr std::string_view kHowItComputes = "optimizer.params";
constexpr std::string_view kWarmup = "scheduler.params";

constexpr KeyGroup kMapped[] = {
    {kTop, "train_micro_batch_size_per_gpu", kNumber, "train.micro_batch"},
    {kTop, "gradient_accumulation_steps", kNumber, "train.accumulation"},
    {kTop, "train_batch_size", kBatch},
    {kTop, "gradient_clipping", kNumber, "train.max_grad_norm"},
    {kTop,
     "zero_optimization|fp16|bf16|bfloat16|data_types|optimizer|scheduler|activation_checkpointing|"
     "tensor_parallel|pipeline",
     kObject},
    {kZero, "stage", kStage, "parallel.zero"},
    {kZero, "offload_optimizer|offload_param", kObject},
    {kOptimizerTier, "device", kTier, "parallel.offload.optimizer"},
    {kParameterTier, "device", kTier, "parallel.offload.parameters"},
    {kOptimizerTier, "nvme_path", kTierPath, "parallel.offload.path", "a disk is used where device is nvme"},
    {kParameterTier, "nvme_path", kTierPath, "", "a disk is used where device is nvme"},
    {"fp16", "enabled", kDtype, "fp16"},
    {"fp16", "initial_scale_power", kPowerOfTwo, "train.loss_scale.initial"},
    {"fp16", "loss_scale_window", kNumber, "train.loss_scale.growth_steps"},
    {kBf16, "enabled", kDtype, "bf16"},
    {"optimizer", "type", kOptimizerType, "train.optimizer.kind", "use AdamW"},
    {"optimizer|scheduler", "params", kObject},
    {kHowItComputes, "lr|betas|eps|weight_decay", kNumber, "train.optimizer.*"},
    {"scheduler", "type", kSchedulerType, "train.schedule.kind", "set train.schedule in the job"},
    {kWarmup, "warmup_max_lr", kNumber, "train.optimizer.lr"},
    {kWarmup, "warmup_num_steps", kCount, "train.schedule.warmup"},
    {kWarmup, "total_num_steps", kNumber, "train.max_steps"},
    {"tensor_parallel", "tensor_parallel|tp", kObject},
};

// What is refused but for the values that change nothing.
constexpr KeyGroup kRefused[] = {
    {kTop, "prescale_gradients", kOnly, "[false]", kOtherBits},
    {kTop, "gradient_predivide_factor", kOnly, "[1]", kOtherBits},
    {kTop, "gradient_allreduce_op", kOnly, R"(["mean", null])", kOtherBits},
    {kTop, "communication_data_type|seq_parallel_communication_data_type|seq_parallel_comm_data_type", kOnly,
     R"(["fp32", null])", kFp32Sums},
    {kOptimizerTier, "ratio", kOnly, "[1]", "all of the state moves or none: take it out"},
    {kOptimizerTier, "super_offload", kOnly, "[false]", kTakeOut},
    {kZero, "zenflow|zeropp_loco_param", kOnIfThere, "", kTakeOut},
    {kZero, "cpu_offload", kOnly, "[false,null]", "use offload_optimizer with device cpu"},
    {kZero, "cpu_offload_param|cpu_offload_params", kOnly, "[false,null]",
     "use offload_param with device cpu"},
    {kZero, "zero_hpz_partition_size", kOnly, "[0, 1]", kTakeOut},
    {kZero, "zero_quantized_weights|zero_quantized_gradients|zero_quantized_nontrainable_weights", kOnly,
     "[false]", kOtherBits},
    {kZero, "mics_shard_size", kOnly, "[-1, 0]", kTakeOut},
    {kZero, "mics_hierarchical_params_gather", kOnly, "[false]", kTakeOut},
    {"fp16", "loss_scale", kOnly, "[0]",
     "the scale follows overflows: use 0, and initial_scale_power for the first"},
    {"fp16", "min_loss_scale", kOnly, "[1]", "the least scale is 1: take it out"},
    {"fp16", "auto_cast", kOnly, "[false]", kTakeOut},
    {"fp16", "fp16_master_weights_and_grads", kOnly, "[false]", kFp32Masters},
    {kBf16, "bf16_master_weights_and_grads|bf16_optimizer_states", kOnly, "[false]", kFp32Masters},
    {"data_types", "grad_accum_dtype", kOnly, R"(["fp32", "auto", null])",
     "gradients are added in fp32: use fp32"},
    {"data_types", "param_dtype|buffer_dtype", kOnly, "[null]", kDtypeOfJob},
    {kHowItComputes, "adam_w_mode", kOnly, R"([true, "auto"])", "decay is apart from the gradient: use true"},
    {kHowItComputes, "bias_correction", kOnly, R"([true, "auto"])", "use true"},
    {kHowItComputes, "amsgrad|maximize", kOnly, R"([false, "auto"])", "use false"},
    {kHowItComputes, "max_grad_norm", kOnly, "[0, null]", "use gradient_clipping"},
    {kWarmup, "warmup_min_lr|warmup_min_ratio", kOnly, R"([0, "auto"])", kFromZero},
    {kWarmup, "cos_min_ratio", kOnly, R"([0, "auto"])", "the rate goes down to 0: use 0"},
    {kWarmup, "warmup_type", kOnly, R"(["linear", "auto"])", "the rate goes up evenly: use linear"},
    {"activation_checkpointing", "partition_activations|cpu_checkpointing", kOnly, "[false]", kTakeOut},
    {kTop, "elasticity", kOffUnless, kEnabled, "use parallel.min_ranks and parallel.max_ranks"},
    {kTop, "amp|torch_autocast", kOffUnless, kEnabled, kDtypeOfJob},
    {kTop,
     "compression_training|quantize_training|curriculum_learning|data_efficiency|progressive_layer_drop|"
     "eigenvalue|hybrid_engine",
     kOffUnless, kEnabled, kTakeOut},
    {kTop, "autotuning", kOffUnless, kEnabled, "ftctl plan chooses what fits: take it out"},
    {kTop, "compile", kOffUnless, R"(["enabled", "deepcompile"])", kTakeOut},
    {kTop, "expert_parallel", kOffUnless, kEnabled, kOneAtATime},
    {kTop, "sparse_attention|weight_quantization", kOnIfThere, "", kTakeOut},
    {kTop, "sparse_gradients", kOnly, "[false,null]", kTakeOut},
    {kTop, "load_universal_checkpoint", kOnly, "[false]",
     "checkpoints of DeepSpeed are not read: take it out"},
    {"pipeline", "stages", kOnly, R"(["auto", 1, null])", kOneAtATime},
    {kTop, "sequence_parallel_size|expert_parallel_size", kOnly, "[1]", kOneAtATime},
    {kTop, "autotp_size", kOnly, "[0, 1]", kOneAtATime},
    {"tensor_parallel", "autotp_size", kOnly, "[0, 1]", kOneAtATime},
    {"tensor_parallel.tensor_parallel|tensor_parallel.tp", "tp_size", kOnly, "[1]", kOneAtATime},
};

// How rather than what.
constexpr KeyGroup kWithoutMeaning[] = {
    {kTop, "zero_allow_untested_optimizer|zero_force_ds_cpu_optimizer", kNoMeaning, "", kAnyStage},
    {kTop, "disable_allgather|managed_gradient_accumulation|use_data_before_expert_parallelism", kNoMeaning,
     "", kFixed},
    {kTop, "fp32_allreduce", kNoMeaning, "", "sums are always exchanged in fp32"},
    {kTop, "graph_harvesting", kNoMeaning, "", kKernels},
    {kTop,
     "steps_per_print|wall_clock_breakdown|dump_state|memory_breakdown|comms_logger|flops_profiler|"
     "monitor_config|tensorboard|wandb|csv_monitor|comet|timers|log_level",
     kNoMeaning, "", kWatch},
    {kTop, "aio|vocabulary_size|allgather_size", kNoMeaning, "", kUnits},
    {kTop, "checkpoint|nebula|datastates", kNoMeaning, "", kJobsCheckpoints},
    {kTop, "dataloader_drop_last", kNoMeaning, "", "a last step that is not full is trained"},
    {kTiers,
     "pin_memory|buffer_count|buffer_size|pipeline_read|pipeline_write|fast_init|max_in_cpu|"
     "cpuadam_cores_perc|convert_grad_on_cpu",
     kNoMeaning, "", kUnits},
    {kZero,
     "overlap_comm|contiguous_gradients|reduce_scatter|allgather_partitions|round_robin_gradients|"
     "ignore_unused_parameters|use_all_reduce_for_fetch_params|stage3_use_all_reduce_for_fetch_params|"
     "use_multi_rank_bucket_allreduce|allgather_sequential|stage3_allgather_sequential|"
     "load_from_fp32_weights|log_trace_cache_warnings|memory_efficient_linear|legacy_stage1|"
     "override_module_apply|pipeline_loading_checkpoint|enable_sanity_checks|leaf_module",
     kNoMeaning, "", kFixed},
    {kZero,
     "allgather_bucket_size|reduce_bucket_size|sub_group_size|cpu_offload_use_pin_memory|"
     "prefetch_bucket_size|stage3_prefetch_bucket_size|"
     "param_persistence_threshold|stage3_param_persistence_threshold|"
     "model_persistence_threshold|stage3_model_persistence_threshold|"
     "max_live_parameters|stage3_max_live_parameters|max_reuse_distance|stage3_max_reuse_distance|"
     "module_granularity_threshold|stage3_module_granularity_threshold|"
     "partition_stream_chunk_size|stage3_partition_stream_chunk_size|save_muon_momentum_buffer_in_memory",
     kNoMeaning, "", kUnits},
    {kZero,
     "gather_16bit_weights_on_model_save|stage3_gather_16bit_weights_on_model_save|"
     "stage3_gather_fp16_weights_on_model_save",
     kNoMeaning, "", kWhole},
    {kZero, "elastic_checkpoint", kNoMeaning, "", "a checkpoint goes on with any number of ranks"},
    {"fp16", "hysteresis|consecutive_hysteresis", kNoMeaning, "", kHalvesAtOnce},
    {"fp16", "fused_mode", kNoMeaning, "", kKernels},
    {kBf16, "check_grad_overflow", kNoMeaning, "", "gradients are checked in every step"},
    {kBf16, "immediate_grad_update", kNoMeaning, "", kFixed},
    {"optimizer", "legacy_fusion", kNoMeaning, "", kKernels},
    {kHowItComputes, "torch_adam|fused|foreach|capturable|differentiable|set_grad_none", kNoMeaning, "",
     kKernels},
    {kWarmup, "last_batch_iteration", kNoMeaning, "", "a checkpoint knows its step"},
    {"activation_checkpointing", "contiguous_memory_optimization|number_checkpoints", kNoMeaning, "", kUnits},
    {"activation_checkpointing", "synchronize_checkpoint_boundary", kNoMeaning, "", kFixed},
    {"activation_checkpointing", "profile", kNoMeaning, "", kWatch},
    {"pipeline", "partition|seed_layers|activation_checkpoint_interval|pipe_partitioned|grad_partitioned",
     kNoMeaning, "", kWholeLayers},
    {"tensor_parallel",
     "dtype|tp_overlap_comm|injection_policy_tuple|partition_config|preset_model|keep_module_on_host|"
     "replace_with_kernel_inject|kernel_inject",
     kNoMeaning, "", kWholeLayers},
    {"tensor_parallel.tensor_parallel|tensor_parallel.tp", "tp_grain_size", kNoMeaning, "", kWholeLayers},
};

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('|', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

void AddRules(const KeyGroup& group, std::vector<DeepspeedKeyRule>& rules) {
  for (const std::string_view above : Words(group.above)) {
    for (const std::string_view key : Words(group.keys)) {
      std::string word(group.word);
      if (const size_t star = word.find('*'); star != std::string::npos) word.replace(star, 1, key);
      rules.push_back({.path = StrCat(above, above.empty() ? "" : ".", key),
                       .rule = group.rule,
                       .word = std::move(word),
                       .note = group.note});
    }
  }
}

std::vector<DeepspeedKeyRule> AllRules() {
  std::vector<DeepspeedKeyRule> rules;
  for (const KeyGroup& group : kMapped) AddRules(group, rules);
  for (const KeyGroup& group : kRefused) AddRules(group, rules);
  for (const KeyGroup& group : kWithoutMeaning) AddRules(group, rules);
  return rules;
}

}  // namespace

std::span<const DeepspeedKeyRule> DeepspeedKeyRules() {
  static const std::vector<DeepspeedKeyRule> kRules = AllRules();
  return kRules;
}

}  // namespace ft::recipe
