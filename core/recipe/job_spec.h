// The job file as a value: every field with its default. Parsed from YAML (parse.h), written and read as JSON
// (json.h), used by ftctl, coordinator, agent and rank alike. docs/job-file.md is the same list for people.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ft::recipe {

struct ModelSpec {
  std::string source;  // hf://, modelscope:// or a path: folder in Hugging Face layout, or a .gguf file.
  std::string dtype = "auto";          // auto | bf16 | fp16 | fp32
  std::string eos_token;               // Ends an answer; empty = the tokenizer's own.
  bool encode_special_tokens = false;  // ChatGLM3: markup in a text becomes the tokens that it names.
};

// Which columns of a record play which part; an empty name = not there. Of another kind than columns: `system` is the text
// that is put in, and the columns are those of the data that the kind is named after.
struct ColumnMap {
  std::string kind =
      "columns";  // columns | alpaca | alpaca_zh | colors | medical | moss_sft | msagent_react | oasst1 | sql | wizardlm
  std::string system;  // Literal text unless it names a column of the data.
  std::string input;
  std::string output;
  std::string bot_name;  // moss_sft: what the assistant is called in place of MOSS.
};

struct DataSource {
  std::string source;  // Path, hf://, modelscope:// or upload://.
  std::string format =
      "auto";  // auto | tokens | text | chat | alpaca | conversation | sharegpt | openai | table
  std::string template_name = "model";  // The tokenizer's own, or a named one.
  std::string column = "text";          // For format: text; of chat formats, the list of messages.
  std::string documents = "auto";       // What is one text in a .txt file: auto | paragraphs | lines | file
  std::string loss_on = "all";          // Which answers of a conversation are learnt: all | last
  std::string sheet;                    // For .xlsx; empty = the first.
  std::optional<ColumnMap> map;
  int64_t max_records = 0;       // 0 = all.
  std::string choose = "first";  // first | random: which max_records are kept.
  double weight = 1;   // How often an epoch holds each record; a share of a time is a share of the records.
  std::string subset;  // On a hub or in a folder: the data set's configuration; empty = the only one.
  std::string folder;  // There: read only what lies below it.
  std::string split;   // There; empty = train.
};

struct MethodSpec {
  std::string kind = "qlora";  // qlora | int8_lora | lora | full
  int rank = 0;                // 1..1024; 0 = chosen (train::ResolveFromData).
  double alpha = 0;            // 0 = chosen (train::ResolveFromData).
  double dropout = 0.1;        // 0..1, on the adapter's input.
  std::vector<std::string> targets = {"all_linear"};
  std::string adapter_compute = "auto";  // auto = the job's compute type | fp32 (PEFT's products)
  // Kinds of adapters, with PEFT's names and meanings.
  bool use_rslora = false;                      // Scaled by alpha / sqrt(rank) in place of alpha / rank.
  bool use_dora = false;                        // Lengths of the weights' rows are trained too.
  std::map<std::string, int> rank_pattern;      // Ranks of modules by name or regular expression.
  std::map<std::string, double> alpha_pattern;  // Likewise their alphas.
  std::vector<std::string> modules_to_save;     // Modules that are trained whole beside the adapter.
  std::string init_from;  // Folder of an adapter whose values and kind training starts with; empty = none.
};

struct OptimizerSpec {
  std::string kind = "adamw";  // adamw | paged_adamw | adamw_8bit | sgd, which has no use for betas and eps
  double lr = 0;               // 0 = chosen (train::ResolveFromData).
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double loraplus_lr_ratio = 0;  // The rate of adapters' B is this many times A's; 0 = the same.
};

struct ScheduleSpec {
  std::string kind = "cosine";  // cosine | linear | constant
  double warmup = 0.03;         // A share of all steps when below 1, else a number of steps.
  std::string by = "step";      // step | micro_batch: what the rate goes down with.
};

// Used by fp16 only.
struct LossScaleSpec {
  double initial = 65536;       // A power of two.
  int64_t growth_steps = 2000;  // Good steps in a row before it doubles.
};

struct CheckpointSpec {
  int64_t every_steps = 500;
  int64_t every_epochs = 0;  // Beside those by steps; 0 = none.
  int keep_last = 2;
};

// A benchmark by name, and the file that the name stands for, relative to the job file.
inline constexpr std::string_view kMmluFiveShot = "mmlu_five_shot";
inline constexpr std::string_view kHoldout = "holdout";  // What results of the share held out are called.
inline constexpr size_t kMaxEvaluationFiles = 16;        // Of prompts, and of held-out data.
inline constexpr std::string_view kMmluFiveShotFile = "data/mmlu/five_shot_mmlu_val.json";

struct EvaluateSpec {
  int64_t every_steps = 0;          // 0 = only at the end.
  int64_t every_micro_batches = 0;  // Counted in an epoch, after the step that holds it; 0 = by steps.
  std::vector<std::string> prompts;
  std::vector<std::string> prompt_files;  // Files of more prompts.
  std::vector<std::string> perplexity;    // Files of held-out data, read as the first source is.
  std::vector<std::string> sets;          // kMmluFiveShot, or files of such questions.
  int max_new_tokens = 64;
  std::string system;                   // Before each prompt.
  std::string template_name;            // The prompts': a named one, or none; empty = the first source's.
  std::vector<std::string> stop_words;  // End an answer, beside the end token.
};

struct TrainSpec {
  int64_t epochs = 0;     // 0 = chosen (train::ResolveFromData).
  int64_t max_steps = 0;  // 0 = by epochs.
  int64_t max_length = 2048;
  bool packing = true;
  int64_t packed_length = 0;  // Tokens of a packed row; 0 = chosen (train::ResolveFromData).
  int64_t micro_batch = 1;
  int64_t accumulation = 0;  // 0 = chosen (train::ResolveFromData).
  OptimizerSpec optimizer;
  ScheduleSpec schedule;
  double max_grad_norm = 1.0;  // 0 = no clipping.
  uint64_t seed = 42;
  bool shuffle = true;
  bool activation_checkpointing = true;
  int64_t checkpointed_blocks = 0;    // Checkpoint only the first N blocks; 0 = all.
  std::string loss = "token_mean";    // token_mean | microbatch_mean
  std::string tokenize = "whole";     // whole | pieces
  std::string on_nonfinite = "stop";  // stop | skip
  int64_t ledger_every = 0;           // Steps from one with digests of tensors to the next; 0 = LedgerEvery.
  LossScaleSpec loss_scale;
  CheckpointSpec checkpoint;
  EvaluateSpec evaluate;
};

struct OffloadSpec {
  std::string optimizer = "none";  // none | cpu | disk
  std::string parameters = "none";
  std::string path;  // The folder of what rests on disk; empty = in the node's cache.
};

struct ParallelSpec {
  int ranks = 1;
  int min_ranks = 0;  // 0 = it runs on `ranks`; else on as many as are free, from these to max_ranks.
  int max_ranks = 0;  // 0 = ranks.
  int zero = 0;       // 0..3
  std::string exchange = "auto";   // auto | step | micro_batch: the order of a step's additions.
  std::string transport = "auto";  // auto | shm | gloo: what carries the exchange between ranks on CPU.
  std::string deepspeed;           // A name for zero and offload, which take its place as the file is read.
  OffloadSpec offload;
};

struct ResourceSpec {
  std::string queue = "default";
  int priority = 0;
  std::string device = "auto";  // auto | cpu | gpu
  int threads = 0;              // Threads of a rank on CPU; 0 = the node's cores divided by the ranks on it.
  int64_t device_memory_bytes = 0;
  std::string arch;
};

struct GateSpec {
  bool allow_unsupervised = false;  // Samples without a supervised token are dropped, not refused.
  bool allow_truncation = false;    // More than max_truncated of the samples may be cut.
  double max_truncated = 0.2;
  bool allow_empty_output = false;
};

struct JobSpec {
  std::string name;
  std::string recipe;
  std::string compat = "none";  // none | xtuner-0.1.9: whose habits training has.
  ModelSpec model;
  std::vector<DataSource> data;
  double holdout = 0;  // A share of the records, 0..0.5, kept for evaluation loss.
  MethodSpec method;
  TrainSpec train;
  ParallelSpec parallel;
  ResourceSpec resources;
  GateSpec gate;
  std::string fit = "auto";  // auto | off
  bool strict_exclusive = false;
  bool allow_numeric_change = false;
  std::map<std::string, std::string> labels;
};

inline bool HasXTunersHabits(const JobSpec& spec) { return spec.compat == "xtuner-0.1.9"; }

// Micro-batches of an optimizer step: of every rank as submitted, frozen for the job whatever the ranks later. REQUIRES: the
// accumulation is chosen.
inline int64_t MicroBatchesPerStep(const JobSpec& spec) {
  return spec.train.accumulation * spec.parallel.ranks;
}

// The most ranks that may ever train the job, and so the leaves of a step's sums: max_ranks, or the ranks submitted.
inline int MaxRanks(const ParallelSpec& parallel) {
  return parallel.max_ranks == 0 ? parallel.ranks : parallel.max_ranks;
}

// Every so many steps the ledger has digests of gradients and weights: as the job says, else at each step of adapters, and of all weights,
// whose digests take a while, at each sixteenth.
inline int64_t LedgerEvery(const JobSpec& spec) {
  if (spec.train.ledger_every > 0) return spec.train.ledger_every;
  return spec.method.kind == "full" ? 16 : 1;
}

}  // namespace ft::recipe
