// Gemma 4, the models without per-layer embeddings and shared keys: full layers have heads and key heads of their own and may take their
// keys for values, of which a share turns; values are normed; a block's result is multiplied by a stored number.
#include <cmath>

#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

constexpr int kFull = 0, kSliding = 1;  // Rotary tables.

void RefuseUnbuilt(ConfigReader& read) {
  if (read.Integer("hidden_size_per_layer_input", 0) > 0) {
    read.Complain(absl::UnimplementedError(
        "hidden_size_per_layer_input above 0 (per-layer embeddings) is not supported by this version: take a "
        "model without them, such as the 31B"));
  }
  if (read.Integer("num_kv_shared_layers", 0) > 0) {
    read.Complain(
        absl::UnimplementedError("num_kv_shared_layers above 0 (keys shared over layers) is not supported by "
                                 "this version: take a model "
                                 "without them, such as the 31B"));
  }
  read.Require("enable_moe_block", false, false);
  read.Require("use_double_wide_mlp", false, false);
  // "vision" means tokens of images only, which a text has not.
  const nlohmann::json& all = read.object();
  const auto both_ways = all.find("use_bidirectional_attention");
  if (both_ways != all.end() && *both_ways != "vision")
    read.Require("use_bidirectional_attention", false, false);
}

void ReadTables(ConfigReader& read, DecoderConfig& config, int64_t full_size) {
  Rotary sliding{.theta = 10000, .size = config.head_size}, full{.theta = 1e6, .size = full_size};
  if (const nlohmann::json* rope = RopeOfKind(read, "sliding_attention"))
    ReadRotary(read, *rope, config, sliding);
  if (const nlohmann::json* rope = RopeOfKind(read, "full_attention")) ReadRotary(read, *rope, config, full);
  config.rotaries = {std::move(full), std::move(sliding)};
}

DecoderConfig Text(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read, /*head_size=*/256);
  RefuseUnbuilt(read);
  config.norm_behind = config.head_norms = config.value_norms = config.layer_scalars = true;
  config.embedding_scale = std::sqrt(static_cast<double>(std::max<int64_t>(config.hidden, 0)));
  config.tied_head = read.Boolean("tie_word_embeddings", true);
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  config.activation = read.ActivationOf("hidden_activation", "gelu_pytorch_tanh");
  config.score_scale = 1;
  config.logit_cap = read.Number("final_logit_softcapping", 0);
  ReadWindows(read, config, read.Integer("sliding_window", 512),
              [](int64_t layer) { return (layer + 1) % 6 != 0; });
  const bool value_is_key = read.Boolean("attention_k_eq_v", false);
  const int64_t full_size = read.Integer("global_head_dim", 512);
  const int64_t full_keys = read.Integer("num_global_key_value_heads", config.key_heads);
  ReadTables(read, config, full_size);
  for (LayerPlan& layer : config.plan) {
    layer.rotary = layer.window > 0 ? kSliding : kFull;
    if (layer.window > 0) continue;
    layer.head_size = full_size;
    layer.key_heads = value_is_key ? full_keys : config.key_heads;
    layer.value_is_key = value_is_key;
  }
  return config;
}

DecoderConfig Nested(ConfigReader& read) { return ReadTextPart(read, Text); }

WeightNames NestedNames() {
  WeightNames names = kNormsAround;
  names.embedding = "model.language_model.embed_tokens";
  names.blocks = "model.language_model.layers.";
  names.final_norm = "model.language_model.norm";
  return names;
}

}  // namespace

FamilyRows Gemma4Families() {
  static const Family rows[] = {{.model_type = "gemma4_text", .config = Text, .names = kNormsAround},
                                {.model_type = "gemma4", .config = Nested, .names = NestedNames()}};
  return rows;
}

}  // namespace ft::model
