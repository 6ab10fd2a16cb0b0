// StarCoder and other GPTBigCode models: learned positions, layer norms, a plain MLP, biases everywhere, and one key head for all
// query heads unless multi_query says otherwise. The head is the embedding, which files store twice.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config;
  config.vocabulary = read.Integer("vocab_size", 50257);
  config.hidden = read.Integer("n_embd", 768);
  config.layers = read.Integer("n_layer", 12);
  config.heads = read.Integer("n_head", 12);
  config.key_heads = read.Boolean("multi_query", true) ? 1 : config.heads;
  config.head_size = read.HeadSize(config.hidden, config.heads);
  config.intermediate = read.Integer("n_inner", 4 * config.hidden);
  config.max_positions = read.Integer("n_positions", 1024);
  config.norm = NormKind::kLayer;
  config.norm_epsilon = read.Number("layer_norm_epsilon", 1e-5);
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
  config.gated = false;
  config.activation = read.ActivationOf("activation_function", "gelu_pytorch_tanh");
  config.tied_head = read.Boolean("tie_word_embeddings", true);
  config.learned_positions = true;
  read.Require("scale_attn_weights", true, true);
  config.rotaries.clear();
  if (config.layers > 0 && config.layers <= 4000)
    config.plan.assign(static_cast<size_t>(config.layers), {.rotary = LayerPlan::kNoRotary});
  return config;
}

std::vector<Product> Products(const DecoderConfig& c) {
  const int64_t head = c.head_size, query = c.heads * head;
  // With keys of their own each head has its query, key and value together.
  Product qkv = c.key_heads == 1
                    ? InTurn("attn.c_attn", c.hidden,
                             {{Use::kQuery, query}, {Use::kKey, head}, {Use::kValue, head}}, c.qkv_bias)
                    : InGroups("attn.c_attn", c.hidden, c.heads,
                               {{Use::kQuery, head}, {Use::kKey, head}, {Use::kValue, head}}, c.qkv_bias);
  return {std::move(qkv), OneUse("attn.c_proj", Use::kAttentionOut, query, c.hidden, c.output_bias),
          OneUse("mlp.c_fc", Use::kUp, c.hidden, c.intermediate, c.mlp_bias),
          OneUse("mlp.c_proj", Use::kDown, c.intermediate, c.hidden, c.mlp_bias)};
}

}  // namespace

FamilyRows GptBigCodeFamilies() {
  static const Family rows[] = {{.model_type = "gpt_bigcode",
                                 .config = Config,
                                 .products = Products,
                                 .names = {.embedding = "transformer.wte",
                                           .positions = "transformer.wpe",
                                           .blocks = "transformer.h.",
                                           .attention_norm = "ln_1",
                                           .mlp_norm = "ln_2",
                                           .final_norm = "transformer.ln_f"}}};
  return rows;
}

}  // namespace ft::model
