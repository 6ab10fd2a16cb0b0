// The keys of the job file, once: which field each fills and which values it takes. Readers and writers visit it.
//
// A visitor V has:  v(key, field, check)  for scalars, lists of text and label maps;  v.Pair(key, a, b, check);
// v.Object(key, member);  v.Bytes(key, field);  v.Columns(key, optional map).
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "core/recipe/job_spec.h"
#include "core/recipe/record_shapes.h"

namespace ft::recipe {

struct Anything {};
struct Range {
  double low, high;
};
struct OneOf {
  std::vector<std::string_view> words;
};
// 0 or a number of the range. 0 is the default and means "chosen by the data" (train::ResolveFromData); older programs, which refuse
// it, take their own default where the key is not written.
struct ChosenOrRange : Range {};
// A key that older programs do not know and refuse: written only where it is not the default, which is the first word, the
// usual number, or nothing.
struct LaterOneOf : OneOf {};
struct LaterRange : Range {
  double usual = 0;
};
struct LaterAnything : Anything {};

template <typename V>
void Visit(V& v, ModelSpec& s) {
  v("source", s.source, Anything{});
  v("dtype", s.dtype, OneOf{{"auto", "bf16", "fp16", "fp32"}});
  v("eos_token", s.eos_token, LaterAnything{});
  v("encode_special_tokens", s.encode_special_tokens, LaterAnything{});
}

template <typename V>
void Visit(V& v, ColumnMap& s) {
  v("kind", s.kind,
    LaterOneOf{{{"columns", "alpaca", "alpaca_zh", "colors", "medical", "moss_sft", "msagent_react", "oasst1",
                 "sql", "wizardlm"}}});
  v("system", s.system, Anything{});
  v("input", s.input, Anything{});
  v("output", s.output, Anything{});
  v("bot_name", s.bot_name, LaterAnything{});
}

// What `format:` takes.
inline std::vector<std::string_view> FormatWords() {
  std::vector<std::string_view> words = {"auto", "tokens", "text", "chat", "table"};
  for (const RecordShape& shape : kRecordShapes) words.push_back(shape.format);
  return words;
}

template <typename V>
void Visit(V& v, DataSource& s) {
  v("source", s.source, Anything{});
  v("format", s.format, OneOf{FormatWords()});
  v("template", s.template_name, Anything{});
  v("column", s.column, Anything{});
  v("documents", s.documents, LaterOneOf{{{"auto", "paragraphs", "lines", "file"}}});
  v("loss_on", s.loss_on, LaterOneOf{{{"all", "last"}}});
  v("sheet", s.sheet, Anything{});
  v.Columns("map", s.map);
  v("max_records", s.max_records, Range{0, 1e12});
  v("choose", s.choose, LaterOneOf{{{"first", "random"}}});
  v("weight", s.weight, LaterRange{{0.000001, 1000}, 1});
  v("subset", s.subset, LaterAnything{});
  v("folder", s.folder, LaterAnything{});
  v("split", s.split, LaterAnything{});
}

template <typename V>
void Visit(V& v, MethodSpec& s) {
  v("kind", s.kind, OneOf{{"qlora", "int8_lora", "lora", "full"}});
  v("rank", s.rank, ChosenOrRange{{1, 1024}});
  v("alpha", s.alpha, ChosenOrRange{{0.001, 65536}});
  v("dropout", s.dropout, Range{0, 0.99});
  v("targets", s.targets, Anything{});
  v("adapter_compute", s.adapter_compute, OneOf{{"auto", "fp32"}});
  v("use_rslora", s.use_rslora, LaterAnything{});
  v("use_dora", s.use_dora, LaterAnything{});
  v("rank_pattern", s.rank_pattern, LaterAnything{});
  v("alpha_pattern", s.alpha_pattern, LaterAnything{});
  v("modules_to_save", s.modules_to_save, LaterAnything{});
  v("init_from", s.init_from, LaterAnything{});
}

template <typename V>
void Visit(V& v, OptimizerSpec& s) {
  v("kind", s.kind, OneOf{{"adamw", "paged_adamw", "adamw_8bit", "sgd"}});
  v("lr", s.lr, ChosenOrRange{{1e-12, 10}});
  v.Pair("betas", s.beta1, s.beta2, Range{0, 0.999999});
  v("eps", s.eps, Range{0, 1});
  v("weight_decay", s.weight_decay, Range{0, 10});
  v("loraplus_lr_ratio", s.loraplus_lr_ratio, LaterRange{{0, 1e6}});
}

template <typename V>
void Visit(V& v, ScheduleSpec& s) {
  v("kind", s.kind, OneOf{{"cosine", "linear", "constant"}});
  v("warmup", s.warmup, Range{0, 1e9});
  v("by", s.by, LaterOneOf{{{"step", "micro_batch"}}});
}

template <typename V>
void Visit(V& v, LossScaleSpec& s) {
  v("initial", s.initial, Range{1, 16777216});
  v("growth_steps", s.growth_steps, Range{1, 1e9});
}

template <typename V>
void Visit(V& v, CheckpointSpec& s) {
  v("every_steps", s.every_steps, Range{1, 1e9});
  v("every_epochs", s.every_epochs, LaterRange{{0, 1e6}});
  v("keep_last", s.keep_last, Range{1, 1000});
}

template <typename V>
void Visit(V& v, EvaluateSpec& s) {
  v("every_steps", s.every_steps, Range{0, 1e9});
  v("every_micro_batches", s.every_micro_batches, LaterRange{{0, 1e9}});
  v("prompts", s.prompts, Anything{});
  v("prompt_files", s.prompt_files, LaterAnything{});
  v("perplexity", s.perplexity, LaterAnything{});
  v("sets", s.sets, Anything{});
  v("max_new_tokens", s.max_new_tokens, Range{1, 65536});
  v("system", s.system, LaterAnything{});
  v("template", s.template_name, LaterAnything{});
  v("stop_words", s.stop_words, LaterAnything{});
}

template <typename V>
void Visit(V& v, TrainSpec& s) {
  v("epochs", s.epochs, ChosenOrRange{{1, 100000}});
  v("max_steps", s.max_steps, Range{0, 1e12});
  v("max_length", s.max_length, Range{2, 1 << 20});
  v("packing", s.packing, Anything{});
  v("packed_length", s.packed_length, Range{0, 1 << 20});
  v("micro_batch", s.micro_batch, Range{1, 4096});
  v("accumulation", s.accumulation, Range{0, 65536});
  v.Object("optimizer", s.optimizer);
  v.Object("schedule", s.schedule);
  v("max_grad_norm", s.max_grad_norm, Range{0, 1e9});
  v("seed", s.seed, Anything{});
  v("shuffle", s.shuffle, Anything{});
  v("activation_checkpointing", s.activation_checkpointing, Anything{});
  v("checkpointed_blocks", s.checkpointed_blocks, Range{0, 1e6});
  v("loss", s.loss, OneOf{{"token_mean", "microbatch_mean"}});
  v("tokenize", s.tokenize, OneOf{{"whole", "pieces"}});
  v("on_nonfinite", s.on_nonfinite, OneOf{{"stop", "skip"}});
  v("ledger_every", s.ledger_every, LaterRange{{1, 1e9}});
  v.Object("loss_scale", s.loss_scale);
  v.Object("checkpoint", s.checkpoint);
  v.Object("evaluate", s.evaluate);
}

template <typename V>
void Visit(V& v, OffloadSpec& s) {
  v("optimizer", s.optimizer, OneOf{{"none", "cpu", "disk"}});
  v("parameters", s.parameters, OneOf{{"none", "cpu", "disk"}});
  v("path", s.path, LaterAnything{});
}

template <typename V>
void Visit(V& v, ParallelSpec& s) {
  v("ranks", s.ranks, Range{1, 65536});
  v("min_ranks", s.min_ranks, LaterRange{{0, 65536}});
  v("max_ranks", s.max_ranks, Range{0, 65536});
  v("zero", s.zero, Range{0, 3});
  v("exchange", s.exchange, LaterOneOf{{{"auto", "step", "micro_batch"}}});
  v("transport", s.transport, OneOf{{"auto", "shm", "gloo"}});
  v("deepspeed", s.deepspeed, LaterAnything{});
  v.Object("offload", s.offload);
}

template <typename V>
void Visit(V& v, ResourceSpec& s) {
  v("queue", s.queue, Anything{});
  v("priority", s.priority, Range{-1000, 1000});
  v("device", s.device, OneOf{{"auto", "cpu", "gpu"}});
  v("threads", s.threads, Range{0, 4096});
  v.Bytes("device_memory", s.device_memory_bytes);
  v("arch", s.arch, Anything{});
}

template <typename V>
void Visit(V& v, GateSpec& s) {
  v("allow_unsupervised", s.allow_unsupervised, Anything{});
  v("allow_truncation", s.allow_truncation, Anything{});
  v("max_truncated", s.max_truncated, Range{0, 1});
  v("allow_empty_output", s.allow_empty_output, Anything{});
}

template <typename V>
void Visit(V& v, JobSpec& s) {
  v("name", s.name, Anything{});
  v("recipe", s.recipe, Anything{});
  v("compat", s.compat, LaterOneOf{{{"none", "xtuner-0.1.9"}}});
  v.Model("model", s.model);
  v.Data("data", s.data);
  v("holdout", s.holdout, Range{0, 0.5});
  v.Object("method", s.method);
  v.Object("train", s.train);
  v.Object("parallel", s.parallel);
  v.Object("resources", s.resources);
  v.Object("gate", s.gate);
  v("fit", s.fit, OneOf{{"auto", "off"}});
  v("strict_exclusive", s.strict_exclusive, Anything{});
  v("allow_numeric_change", s.allow_numeric_change, Anything{});
  v("labels", s.labels, Anything{});
}

}  // namespace ft::recipe
