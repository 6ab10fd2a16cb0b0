// Qwen, the first generation: queries, keys and values in one matrix with a bias. Outside training, inputs longer than seq_length
// enlarge the base of the rotary angles and scale later queries by the logarithm of their position.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config;
  config.vocabulary = read.Integer("vocab_size", 151936);
  config.hidden = read.Integer("hidden_size", std::nullopt);
  config.layers = read.Integer("num_hidden_layers", std::nullopt);
  config.heads = config.key_heads = read.Integer("num_attention_heads", std::nullopt);
  config.head_size = read.Has("kv_channels") ? read.Integer("kv_channels", std::nullopt)
                                             : read.HeadSize(config.hidden, config.heads);
  // It counts both halves of the gated MLP.
  const int64_t intermediate = read.Integer("intermediate_size", std::nullopt);
  if (intermediate % 2 != 0) read.Complain(absl::InvalidArgumentError("intermediate_size is an odd number"));
  config.intermediate = intermediate / 2;
  config.norm_epsilon = read.Number("layer_norm_epsilon", 1e-6);
  config.max_positions = read.Integer("seq_length", 2048);
  config.tied_head = read.Boolean("tie_word_embeddings", false);
  config.qkv_bias = true;
  config.output_bias = config.mlp_bias = !read.Boolean("no_bias", true);
  read.Require("scale_attn_weights", true, true);
  Rotary& rotary = config.rotaries.front();
  rotary.theta = read.Number("rotary_emb_base", 10000);
  rotary.size = read.Share("rotary_pct", config.head_size);
  if (read.Boolean("use_dynamic_ntk", true)) rotary.scaling.kind = RopeScaling::Kind::kStepped;
  if (read.Boolean("use_logn_attn", true)) config.log_n = config.max_positions;
  return config;
}

std::vector<Product> Products(const DecoderConfig& c) {
  const int64_t heads = c.heads * c.head_size;
  return {InTurn("attn.c_attn", c.hidden, {{Use::kQuery, heads}, {Use::kKey, heads}, {Use::kValue, heads}},
                 c.qkv_bias),
          OneUse("attn.c_proj", Use::kAttentionOut, heads, c.hidden, c.output_bias),
          OneUse("mlp.w1", Use::kUp, c.hidden, c.intermediate, c.mlp_bias),
          OneUse("mlp.w2", Use::kGate, c.hidden, c.intermediate, c.mlp_bias),
          OneUse("mlp.c_proj", Use::kDown, c.intermediate, c.hidden, c.mlp_bias)};
}

}  // namespace

FamilyRows QwenFamilies() {
  static const Family rows[] = {{.model_type = "qwen",
                                 .config = Config,
                                 .products = Products,
                                 .names = {.embedding = "transformer.wte",
                                           .blocks = "transformer.h.",
                                           .attention_norm = "ln_1",
                                           .mlp_norm = "ln_2",
                                           .final_norm = "transformer.ln_f"}}};
  return rows;
}

}  // namespace ft::model
