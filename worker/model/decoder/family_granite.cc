// Granite 3: Llama with four multipliers.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  config.mlp_bias = read.Boolean("mlp_bias", false);
  config.embedding_scale = read.Number("embedding_multiplier", 1);
  config.score_scale = read.Number("attention_multiplier", 1);
  config.residual_scale = read.Number("residual_multiplier", 1);
  const double divisor = read.Number("logits_scaling", 1);
  if (!(divisor > 0)) read.Complain(absl::InvalidArgumentError("logits_scaling is not above 0"));
  if (!(config.score_scale > 0))
    read.Complain(absl::InvalidArgumentError("attention_multiplier is not above 0"));
  config.logit_scale = 1 / divisor;
  return config;
}

}  // namespace

FamilyRows GraniteFamilies() {
  static const Family rows[] = {{.model_type = "granite", .config = Config}};
  return rows;
}

}  // namespace ft::model
