// Phi-3: Llama with queries, keys and values in one matrix, gate and up in another, and a sliding window.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.norm_epsilon = read.Number("rms_norm_eps", 1e-5);
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  config.rotaries.front().size = ReadTurned(read, config.head_size, 1);
  read.Require("lm_head_bias", false, false);
  ReadWindows(read, config, read.Integer("sliding_window", 0), [](int64_t) { return true; });
  return config;
}

std::vector<Product> Products(const DecoderConfig& c) {
  const int64_t query = c.heads * c.head_size, key = c.key_heads * c.head_size;
  return {InTurn("self_attn.qkv_proj", c.hidden, {{Use::kQuery, query}, {Use::kKey, key}, {Use::kValue, key}},
                 c.qkv_bias),
          OneUse("self_attn.o_proj", Use::kAttentionOut, query, c.hidden, c.output_bias),
          InTurn("mlp.gate_up_proj", c.hidden, {{Use::kGate, c.intermediate}, {Use::kUp, c.intermediate}},
                 c.mlp_bias),
          OneUse("mlp.down_proj", Use::kDown, c.intermediate, c.hidden, c.mlp_bias)};
}

}  // namespace

FamilyRows Phi3Families() {
  static const Family rows[] = {{.model_type = "phi3", .config = Config, .products = Products}};
  return rows;
}

}  // namespace ft::model
