// Qwen2 and 2.5: Llama with biases on queries, keys and values. Qwen3: norms of heads, and biases only where the file says so.
// Qwen3-MoE: Qwen3 with experts in some layers or all.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

// Windows are off unless use_sliding_window says otherwise, and begin at a layer.
void ReadQwenWindows(ConfigReader& read, DecoderConfig& config) {
  const int64_t window = read.Integer("sliding_window", 0), first = read.Integer("max_window_layers", 28);
  const bool on = read.Boolean("use_sliding_window", false);
  ReadWindows(read, config, on ? window : 0, [&](int64_t layer) { return layer >= first; });
}

DecoderConfig Qwen2(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.qkv_bias = true;
  ReadQwenWindows(read, config);
  return config;
}

DecoderConfig Qwen3(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read, /*head_size=*/128);
  config.head_norms = true;
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  ReadQwenWindows(read, config);
  return config;
}

// Layers without experts: those that are listed, and those between every so many-th.
std::vector<int64_t> DenseLayers(ConfigReader& read) {
  std::vector<int64_t> layers;
  const nlohmann::json* list = read.List("mlp_only_layers");
  if (list == nullptr) return layers;
  for (const nlohmann::json& layer : *list) {
    if (layer.is_number_integer()) {
      layers.push_back(layer.get<int64_t>());
    } else {
      read.Complain(
          absl::InvalidArgumentError("mlp_only_layers holds something else than numbers of layers"));
    }
  }
  return layers;
}

DecoderConfig Qwen3Moe(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.head_norms = true;
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  ReadQwenWindows(read, config);
  config.experts = {.count = read.Integer("num_experts", 128),
                    .chosen = read.Integer("num_experts_per_tok", 8),
                    .width = read.Integer("moe_intermediate_size", 768),
                    .renormalised = read.Boolean("norm_topk_prob", false)};
  ReadModelBalance(read, config);
  const std::vector<int64_t> dense = DenseLayers(read);
  const int64_t step = read.Integer("decoder_sparse_step", 1);
  if (step < 1) read.Complain(absl::InvalidArgumentError("decoder_sparse_step must be at least 1"));
  if (config.experts.count == 0) return config;
  PlaceExperts(config, [&](int64_t layer) {
    return (layer + 1) % std::max<int64_t>(step, 1) == 0 &&
           std::find(dense.begin(), dense.end(), layer) == dense.end();
  });
  return config;
}

}  // namespace

FamilyRows Qwen2Families() {
  static const Family rows[] = {
      {.model_type = "qwen2", .config = Qwen2},
      {.model_type = "qwen3", .config = Qwen3},
      {.model_type = "qwen3_moe",
       .config = Qwen3Moe,
       .names = {.experts = {.fused_gate_up = "gate_up_proj", .fused_down = "down_proj"}}}};
  return rows;
}

}  // namespace ft::model
