// ChatGLM2 and 3: queries, keys and values in one matrix with a bias, gate and up in another, and rotary positions of neighbouring
// values in the first half of each head.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config;
  config.vocabulary = read.Integer("padded_vocab_size", std::nullopt);
  config.hidden = read.Integer("hidden_size", std::nullopt);
  config.layers = read.Integer("num_layers", std::nullopt);
  config.heads = read.Integer("num_attention_heads", std::nullopt);
  config.key_heads =
      read.Boolean("multi_query_attention", false) ? read.Integer("multi_query_group_num", 1) : config.heads;
  config.head_size = read.Has("kv_channels") ? read.Integer("kv_channels", std::nullopt)
                                             : read.HeadSize(config.hidden, config.heads);
  config.intermediate = read.Integer("ffn_hidden_size", std::nullopt);
  config.norm_epsilon = read.Number("layernorm_epsilon", 1e-5);
  config.max_positions = read.Integer("seq_length", 2048);
  config.tied_head = read.Boolean("tie_word_embeddings", false);
  config.output_bias = config.mlp_bias = read.Boolean("add_bias_linear", false);
  config.qkv_bias = read.Boolean("add_qkv_bias", false) || config.mlp_bias;
  read.Require("rmsnorm", true, true);
  read.Require("post_layer_norm", true, true);
  read.Require("apply_residual_connection_post_layernorm", false, false);
  // Set in ChatGLM 1's files only, whose blocks are others.
  read.RequireAbsent({"position_encoding_2d", "pre_seq_len"});
  config.rotaries.front() = {
      .theta = 10000 * read.Number("rope_ratio", 1), .size = config.head_size / 2, .neighbours = true};
  return config;
}

std::vector<Product> Products(const DecoderConfig& c) {
  const int64_t query = c.heads * c.head_size, key = c.key_heads * c.head_size, head = c.head_size;
  // Without groups each head has its query, key and value together.
  Product qkv = c.key_heads == c.heads
                    ? InGroups("self_attention.query_key_value", c.hidden, c.heads,
                               {{Use::kQuery, head}, {Use::kKey, head}, {Use::kValue, head}}, c.qkv_bias)
                    : InTurn("self_attention.query_key_value", c.hidden,
                             {{Use::kQuery, query}, {Use::kKey, key}, {Use::kValue, key}}, c.qkv_bias);
  return {std::move(qkv), OneUse("self_attention.dense", Use::kAttentionOut, query, c.hidden, c.output_bias),
          InTurn("mlp.dense_h_to_4h", c.hidden, {{Use::kGate, c.intermediate}, {Use::kUp, c.intermediate}},
                 c.mlp_bias),
          OneUse("mlp.dense_4h_to_h", Use::kDown, c.intermediate, c.hidden, c.mlp_bias)};
}

}  // namespace

FamilyRows ChatGlmFamilies() {
  static const Family rows[] = {{.model_type = "chatglm",
                                 .config = Config,
                                 .products = Products,
                                 .names = {.embedding = "transformer.embedding.word_embeddings",
                                           .blocks = "transformer.encoder.layers.",
                                           .final_norm = "transformer.encoder.final_layernorm",
                                           .head = "transformer.output_layer"}}};
  return rows;
}

}  // namespace ft::model
