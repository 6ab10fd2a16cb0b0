// SmolLM3: Llama with layers that know no positions.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

constexpr double kTheta = 2e6;  // Where the file has none.

// no_rope_layers: 1 where the layer has positions, in spite of its name; else every so many-th has none.
std::vector<bool> WithPositions(ConfigReader& read, int64_t layers) {
  std::vector<bool> with;
  const int64_t interval = read.Integer("no_rope_layer_interval", 4);
  if (interval < 1) read.Complain(absl::InvalidArgumentError("no_rope_layer_interval must be at least 1"));
  const nlohmann::json* list = read.List("no_rope_layers");
  if (list != nullptr && static_cast<int64_t>(list->size()) != layers) {
    read.Complain(absl::InvalidArgumentError(
        StrCat("no_rope_layers names ", list->size(), " layers, num_hidden_layers is ", layers)));
  }
  for (int64_t layer = 0; read.status().ok() && layer < layers && layers <= 4000; ++layer) {
    if (list == nullptr) {
      with.push_back((layer + 1) % interval != 0);
      continue;
    }
    const nlohmann::json& word = (*list)[static_cast<size_t>(layer)];
    if (word != 0 && word != 1)
      read.Complain(absl::InvalidArgumentError("no_rope_layers holds something else than 0 and 1"));
    with.push_back(word == 1);
  }
  return with;
}

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.qkv_bias = config.output_bias = read.Boolean("attention_bias", false);
  config.mlp_bias = read.Boolean("mlp_bias", false);
  config.tied_head = read.Boolean("tie_word_embeddings", true);
  if (!read.Has("rope_theta") && !read.Has("rope_parameters")) config.rotaries.front().theta = kTheta;
  const std::vector<bool> with = WithPositions(read, config.layers);
  const bool windows = read.Boolean("use_sliding_window", false);
  ReadWindows(read, config, windows ? read.Integer("sliding_window", 0) : 0,
              [&](int64_t layer) { return !with[static_cast<size_t>(layer)]; });
  if (!read.status().ok()) return config;
  config.plan.resize(with.size());
  for (size_t i = 0; i < with.size(); ++i) config.plan[i].rotary = with[i] ? 0 : LayerPlan::kNoRotary;
  return config;
}

}  // namespace

FamilyRows SmolLm3Families() {
  static const Family rows[] = {{.model_type = "smollm3", .config = Config}};
  return rows;
}

}  // namespace ft::model
