// Gemma 3: Gemma 2's norms, norms of heads, and a window in most layers, whose angles have a base of their own. Models of 4B and more are
// the text part of an image model: their settings lie in text_config, their weights behind a prefix.
#include <cmath>

#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

constexpr int kFull = 0, kSliding = 1;  // Rotary tables.

// Files leave out what is as in the 4B model.
nlohmann::json WithDefaults(const nlohmann::json& text) {
  nlohmann::json all = {{"vocab_size", 262208},
                        {"hidden_size", 2304},
                        {"intermediate_size", 9216},
                        {"num_hidden_layers", 26},
                        {"num_attention_heads", 8},
                        {"num_key_value_heads", 4},
                        {"max_position_embeddings", 131072},
                        {"rope_theta", 1e6},
                        {"tie_word_embeddings", true}};
  all.update(text);
  return all;
}

void ReadTables(ConfigReader& read, DecoderConfig& config) {
  Rotary sliding{.theta = read.Number("rope_local_base_freq", 10000)};
  if (const nlohmann::json* rope = RopeOfKind(read, "full_attention"))
    ReadRotary(read, *rope, config, config.rotaries[kFull]);
  if (const nlohmann::json* rope = RopeOfKind(read, "sliding_attention"))
    ReadRotary(read, *rope, config, sliding);
  config.rotaries.push_back(std::move(sliding));
  for (LayerPlan& layer : config.plan) layer.rotary = layer.window > 0 ? kSliding : kFull;
}

DecoderConfig Text(ConfigReader& given) {
  const nlohmann::json all = WithDefaults(given.object());
  ConfigReader read(all);
  DecoderConfig config = CommonConfig(read, /*head_size=*/256);
  config.norm_plus_one = config.norm_behind = config.head_norms = true;
  config.embedding_scale = std::sqrt(static_cast<double>(std::max<int64_t>(config.hidden, 0)));
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  config.activation = read.ActivationOf("hidden_activation", "gelu_pytorch_tanh");
  const double scalar = read.Number("query_pre_attn_scalar", 256);
  if (!(scalar > 0)) read.Complain(absl::InvalidArgumentError("query_pre_attn_scalar is not above 0"));
  config.score_scale = 1 / std::sqrt(scalar);
  config.score_cap = read.Number("attn_logit_softcapping", 0);
  config.logit_cap = read.Number("final_logit_softcapping", 0);
  read.Require("use_bidirectional_attention", false, false);
  const int64_t pattern = read.Integer("sliding_window_pattern", 6);
  if (pattern < 1) read.Complain(absl::InvalidArgumentError("sliding_window_pattern must be at least 1"));
  ReadWindows(read, config, read.Integer("sliding_window", 4096),
              [&](int64_t layer) { return (layer + 1) % std::max<int64_t>(pattern, 1) != 0; });
  ReadTables(read, config);
  given.Complain(read.status());
  return config;
}

DecoderConfig Nested(ConfigReader& read) { return ReadTextPart(read, Text); }

WeightNames NestedNames() {
  WeightNames names = kNormsAround;
  names.embedding = "language_model.model.embed_tokens";
  names.blocks = "language_model.model.layers.";
  names.final_norm = "language_model.model.norm";
  names.head = "language_model.lm_head";
  return names;
}

}  // namespace

FamilyRows Gemma3Families() {
  static const Family rows[] = {{.model_type = "gemma3_text", .config = Text, .names = kNormsAround},
                                {.model_type = "gemma3", .config = Nested, .names = NestedNames()}};
  return rows;
}

}  // namespace ft::model
