// DeepSeek-MoE: Llama with an MLP for all rows and experts beside it, behind layers that have none. DeepSeek-V2: the same with keys and
// values from a latent.
#include <algorithm>
#include <cmath>

#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

void ReadExperts(ConfigReader& read, DecoderConfig& config) {
  if (!read.Has("n_routed_experts")) return;
  if (const std::string score = read.Text("scoring_func", "softmax"); score != "softmax") {
    read.Complain(absl::UnimplementedError(
        StrCat("scoring_func \"", score, "\" is not supported by this version (supported: softmax)")));
  }
  const int64_t width = read.Integer("moe_intermediate_size", 1407);
  const int64_t shared = std::clamp<int64_t>(read.Integer("n_shared_experts", 0), -1, 4096);
  const int64_t frequency = read.Integer("moe_layer_freq", 1),
                dense = read.Integer("first_k_dense_replace", 0);
  if (frequency < 1) read.Complain(absl::InvalidArgumentError("moe_layer_freq must be at least 1"));
  config.experts = {.count = read.Integer("n_routed_experts", std::nullopt),
                    .chosen = read.Integer("num_experts_per_tok", std::nullopt),
                    .width = width,
                    .shared_width = width * shared,
                    .adapted_router = false,
                    .balance_weight = read.Number("aux_loss_alpha", 0.001)};
  if (config.experts.balance_weight != 0) {
    config.experts.balance =
        read.Boolean("seq_aux", true) ? Experts::Balance::kSequence : Experts::Balance::kLayer;
  }
  PlaceExperts(config,
               [&](int64_t layer) { return layer >= dense && layer % std::max<int64_t>(frequency, 1) == 0; });
}

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  ReadExperts(read, config);
  config.experts.renormalised = config.experts.chosen > 1 && read.Boolean("norm_topk_prob", false);
  return config;
}

DecoderConfig ConfigOfV2(ConfigReader& read) {
  const int64_t plain = read.Integer("qk_nope_head_dim", 128), turned = read.Integer("qk_rope_head_dim", 64);
  DecoderConfig config = CommonConfig(read, plain + turned);
  config.head_size = plain + turned;  // Newer files have a head_dim that is the turned part.
  config.key_heads = config.heads;
  config.latent = {read.Integer("kv_lora_rank", 512), plain, turned, read.Integer("v_head_dim", 128)};
  config.output_bias = read.Boolean("attention_bias", false);
  Rotary& rotary = config.rotaries.front();
  rotary.size = turned;
  rotary.neighbours = true;
  // Scores grow by the square of what YaRN says of all dimensions.
  const double sharpness = YarnSharpness(read);
  config.score_scale =
      sharpness * sharpness / std::sqrt(static_cast<double>(std::max<int64_t>(config.head_size, 1)));
  read.RequireAbsent({"q_lora_rank"});
  read.Require("norm_topk_prob", false, false);
  ReadExperts(read, config);
  config.experts.scale = read.Number("routed_scaling_factor", 1);
  const std::string method = read.Text("topk_method", "greedy");
  if (method == "group_limited_greedy") {
    config.experts.groups = read.Integer("n_group", std::nullopt);
    config.experts.chosen_groups = read.Integer("topk_group", std::nullopt);
  } else if (method != "greedy") {
    read.Complain(absl::UnimplementedError(StrCat("topk_method \"", method,
                                                  "\" is not supported by this version "
                                                  "(supported: greedy, group_limited_greedy)")));
  }
  return config;
}

std::vector<Product> ProductsOfV2(const DecoderConfig& config) {
  const Latent& latent = config.latent;
  const int64_t hidden = config.hidden, heads = config.heads;
  const bool bias = config.output_bias;
  std::vector<Product> products = {
      OneUse("self_attn.q_proj", Use::kQuery, hidden, heads * config.head_size, false),
      InTurn("self_attn.kv_a_proj_with_mqa", hidden,
             {{Use::kLatent, latent.width}, {Use::kTurnedKey, latent.turned}}, bias),
      InGroups("self_attn.kv_b_proj", latent.width, heads,
               {{Use::kPlainKey, latent.plain}, {Use::kValue, latent.value}}, false),
      OneUse("self_attn.o_proj", Use::kAttentionOut, heads * latent.value, hidden, bias)};
  const std::vector<Product> separate = SeparateProducts(config);
  products.insert(products.end(), separate.begin() + 4, separate.end());
  return products;
}

}  // namespace

FamilyRows DeepSeekFamilies() {
  static const Family rows[] = {
      {.model_type = "deepseek", .config = Config},
      {.model_type = "deepseek_v2", .config = ConfigOfV2, .products = ProductsOfV2}};
  return rows;
}

}  // namespace ft::model
