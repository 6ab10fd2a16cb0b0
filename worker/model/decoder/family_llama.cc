// Llama 1-3, Yi, DeepSeek-Coder, and whatever else says model_type llama.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  config.mlp_bias = read.Boolean("mlp_bias", false);
  return config;
}

}  // namespace

FamilyRows LlamaFamilies() {
  static const Family rows[] = {{.model_type = "llama", .config = Config}};
  return rows;
}

}  // namespace ft::model
