// Gemma: norms multiply by 1 + weight, the embedding by the root of its width, the gate is a GELU, the head is the embedding. Gemma 2:
// norms behind the sub-layers too, soft caps, and a window in every other layer.
#include <cmath>

#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig Gemma(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read, /*head_size=*/256);
  config.max_positions = read.Integer("max_position_embeddings", 8192);
  config.norm_plus_one = true;
  config.embedding_scale = std::sqrt(static_cast<double>(std::max<int64_t>(config.hidden, 0)));
  config.tied_head = read.Boolean("tie_word_embeddings", true);
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  // Older files say gelu under hidden_act and mean what hidden_activation says, or its default.
  config.activation = read.ActivationOf("hidden_activation", "gelu_pytorch_tanh");
  return config;
}

DecoderConfig Gemma2(ConfigReader& read) {
  DecoderConfig config = Gemma(read);
  config.norm_behind = true;
  const double scalar = read.Number("query_pre_attn_scalar", 256);
  if (!(scalar > 0)) read.Complain(absl::InvalidArgumentError("query_pre_attn_scalar is not above 0"));
  config.score_scale = 1 / std::sqrt(scalar);
  config.score_cap = read.Null("attn_logit_softcapping") ? 0 : read.Number("attn_logit_softcapping", 50);
  config.logit_cap = read.Null("final_logit_softcapping") ? 0 : read.Number("final_logit_softcapping", 30);
  const int64_t window = read.Null("sliding_window") ? 0 : read.Integer("sliding_window", 4096);
  ReadWindows(read, config, window, [](int64_t layer) { return layer % 2 == 0; });
  return config;
}

}  // namespace

FamilyRows GemmaFamilies() {
  static const Family rows[] = {{.model_type = "gemma", .config = Gemma},
                                {.model_type = "gemma2", .config = Gemma2, .names = kNormsAround}};
  return rows;
}

}  // namespace ft::model
