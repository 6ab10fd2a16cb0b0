// Mistral, Zephyr and others of its shape: Llama with a sliding window in every layer.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  ReadWindows(read, config, read.Integer("sliding_window", 0), [](int64_t) { return true; });
  return config;
}

}  // namespace

FamilyRows MistralFamilies() {
  static const Family rows[] = {{.model_type = "mistral", .config = Config}};
  return rows;
}

}  // namespace ft::model
