// InternLM: Llama whose attention has biases where `bias` says so, and in later files a rotary entry of its own. InternLM2 keeps
// queries, keys and values of a group in one matrix, group after group.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig InternLm(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.qkv_bias = config.output_bias = read.Boolean("bias", true);
  const nlohmann::json* entry = read.Object("rotary");
  if (entry == nullptr) return config;
  ConfigReader nested(*entry);
  Rotary& rotary = config.rotaries.front();
  rotary.theta = nested.Number("base", rotary.theta);
  const std::string kind = nested.Text("type", "dynamic");
  if (kind == "dynamic") {
    rotary.scaling = {.kind = RopeScaling::Kind::kDynamic, .factor = nested.Number("scaling_factor", 1)};
  } else if (kind != "origin") {
    nested.Complain(absl::UnimplementedError(
        StrCat("type \"", kind, "\" is not supported by this version (supported: origin, dynamic)")));
  }
  read.Complain(WithContext(nested.status(), "rotary"));
  return config;
}

DecoderConfig InternLm2(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.qkv_bias = config.output_bias = read.Boolean("bias", true);
  return config;
}

std::vector<Product> InternLm2Products(const DecoderConfig& c) {
  const int64_t queries = c.heads / c.key_heads * c.head_size;
  return {
      InGroups("attention.wqkv", c.hidden, c.key_heads,
               {{Use::kQuery, queries}, {Use::kKey, c.head_size}, {Use::kValue, c.head_size}}, c.qkv_bias),
      OneUse("attention.wo", Use::kAttentionOut, c.heads * c.head_size, c.hidden, c.output_bias),
      OneUse("feed_forward.w1", Use::kGate, c.hidden, c.intermediate, c.mlp_bias),
      OneUse("feed_forward.w3", Use::kUp, c.hidden, c.intermediate, c.mlp_bias),
      OneUse("feed_forward.w2", Use::kDown, c.intermediate, c.hidden, c.mlp_bias)};
}

}  // namespace

FamilyRows InternLmFamilies() {
  static const Family rows[] = {{.model_type = "internlm", .config = InternLm},
                                {.model_type = "internlm2",
                                 .config = InternLm2,
                                 .products = InternLm2Products,
                                 .names = {.embedding = "model.tok_embeddings",
                                           .attention_norm = "attention_norm",
                                           .mlp_norm = "ffn_norm",
                                           .head = "output"}}};
  return rows;
}

}  // namespace ft::model
