// GLM-4-0414: gate and up in one matrix, norms before and behind the sub-layers, and rotary positions of neighbouring values in the
// first half of each head.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read, /*head_size=*/128);
  config.norm_behind = true;
  config.qkv_bias = read.Boolean("attention_bias", false);
  Rotary& rotary = config.rotaries.front();
  rotary.size = ReadTurned(read, config.head_size, 0.5);
  rotary.neighbours = true;
  return config;
}

std::vector<Product> Products(const DecoderConfig& c) {
  std::vector<Product> products = SeparateProducts(c);
  products.resize(4);
  products.push_back(InTurn("mlp.gate_up_proj", c.hidden,
                            {{Use::kGate, c.intermediate}, {Use::kUp, c.intermediate}}, c.mlp_bias));
  products.push_back(OneUse("mlp.down_proj", Use::kDown, c.intermediate, c.hidden, c.mlp_bias));
  return products;
}

}  // namespace

FamilyRows Glm4Families() {
  static const Family rows[] = {
      {.model_type = "glm4",
       .config = Config,
       .products = Products,
       .names = {.attention_behind = "post_self_attn_layernorm", .mlp_behind = "post_mlp_layernorm"}}};
  return rows;
}

}  // namespace ft::model
