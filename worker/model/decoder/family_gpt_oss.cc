// gpt-oss: Llama with sinks, a window in every other layer, biases, and experts in one tensor whose gate is cut.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

constexpr int64_t kWindow = 128;
constexpr double kClamp = 7, kTheta = 150000;

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read, /*head_size=*/64);
  config.norm_epsilon = read.Number("rms_norm_eps", 1e-5);
  config.key_heads = read.Integer("num_key_value_heads", 8);
  if (!read.Has("rope_theta") && !read.Has("rope_parameters")) config.rotaries.front().theta = kTheta;
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", true);
  config.sinks = true;
  config.gate_clamp = read.Number("swiglu_limit", kClamp);
  if (!(config.gate_clamp > 0)) read.Complain(absl::InvalidArgumentError("swiglu_limit must be above 0"));
  ReadWindows(read, config, read.Integer("sliding_window", kWindow),
              [](int64_t layer) { return layer % 2 == 0; });
  config.experts = {.count = read.Integer("num_local_experts", 128),
                    .chosen = read.Integer("num_experts_per_tok", 4),
                    .width = config.intermediate,
                    .score = Experts::Score::kSoftmaxOfChosen,
                    .router_bias = true,
                    .bias = true,
                    .adapted_router = false};
  ReadModelBalance(read, config);
  PlaceExperts(config, [](int64_t) { return true; });
  return config;
}

}  // namespace

FamilyRows GptOssFamilies() {
  static const Family rows[] = {{.model_type = "gpt_oss",
                                 .config = Config,
                                 .names = {.experts = {.router = "mlp.router",
                                                       .fused_gate_up = "gate_up_proj",
                                                       .fused_down = "down_proj",
                                                       .only_fused = true}}}};
  return rows;
}

}  // namespace ft::model
