// Qwen2 and 2.5: Llama with biases on queries, keys and values. Qwen3: norms of heads, and biases only where the file says so.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

// Windows are off unless use_sliding_window says otherwise, and begin at a layer.
void ReadQwenWindows(ConfigReader& read, DecoderConfig& config) {
  const int64_t window = read.Integer("sliding_window", 0), first = read.Integer("max_window_layers", 28);
  const bool on = read.Boolean("use_sliding_window", false);
  ReadWindows(read, config, on ? window : 0, [&](int64_t layer) { return layer >= first; });
}

DecoderConfig Qwen2(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.qkv_bias = true;
  ReadQwenWindows(read, config);
  return config;
}

DecoderConfig Qwen3(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read, /*head_size=*/128);
  config.head_norms = true;
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  ReadQwenWindows(read, config);
  return config;
}

}  // namespace

FamilyRows Qwen2Families() {
  static const Family rows[] = {{.model_type = "qwen2", .config = Qwen2},
                                {.model_type = "qwen3", .config = Qwen3}};
  return rows;
}

}  // namespace ft::model
