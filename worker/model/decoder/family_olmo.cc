// OLMo 2: norms behind the sub-layers only, and norms over all heads of queries and of keys. OLMo 3: a window in three of four layers,
// whose angles are not scaled.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

constexpr int kFull = 0, kSliding = 1;  // Rotary tables.

DecoderConfig Olmo2(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.norm_epsilon = read.Number("rms_norm_eps", 1e-5);
  config.norm_before = false;
  config.norm_behind = true;
  config.head_norms = config.norm_all_heads = true;
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  return config;
}

DecoderConfig Olmo3(ConfigReader& read) {
  DecoderConfig config = Olmo2(read);
  ReadWindows(read, config, read.Integer("sliding_window", 4096),
              [](int64_t layer) { return (layer + 1) % 4 != 0; });
  Rotary sliding = config.rotaries[kFull];
  sliding.scaling = {};
  if (const nlohmann::json* rope = RopeOfKind(read, "sliding_attention"))
    ReadRotary(read, *rope, config, sliding);
  if (const nlohmann::json* rope = RopeOfKind(read, "full_attention"))
    ReadRotary(read, *rope, config, config.rotaries[kFull]);
  config.rotaries.push_back(std::move(sliding));
  for (LayerPlan& layer : config.plan) layer.rotary = layer.window > 0 ? kSliding : kFull;
  return config;
}

constexpr WeightNames kNames = {.attention_behind = "post_attention_layernorm",
                                .mlp_norm = "",
                                .mlp_behind = "post_feedforward_layernorm"};

}  // namespace

FamilyRows OlmoFamilies() {
  static const Family rows[] = {{.model_type = "olmo2", .config = Olmo2, .names = kNames},
                                {.model_type = "olmo3", .config = Olmo3, .names = kNames}};
  return rows;
}

}  // namespace ft::model
