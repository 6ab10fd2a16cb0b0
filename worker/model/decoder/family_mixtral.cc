// Mixtral: Mistral with experts in every layer.
#include "worker/model/decoder/families.h"

namespace ft::model {
namespace {

constexpr double kTheta = 1e6;  // Where the file has none.

DecoderConfig Config(ConfigReader& read) {
  DecoderConfig config = CommonConfig(read);
  config.norm_epsilon = read.Number("rms_norm_eps", 1e-5);
  config.key_heads = read.Integer("num_key_value_heads", 8);
  if (!read.Has("rope_theta") && !read.Has("rope_parameters")) config.rotaries.front().theta = kTheta;
  ReadWindows(read, config, read.Integer("sliding_window", 0), [](int64_t) { return true; });
  if (read.Number("router_jitter_noise", 0) != 0)
    read.Complain(
        absl::UnimplementedError("router_jitter_noise is not supported by this version: set it to 0"));
  config.experts = {.count = read.Integer("num_local_experts", 8),
                    .chosen = read.Integer("num_experts_per_tok", 2),
                    .width = config.intermediate,
                    .renormalised = true};
  ReadModelBalance(read, config);
  PlaceExperts(config, [](int64_t) { return true; });
  return config;
}

}  // namespace

FamilyRows MixtralFamilies() {
  static const Family rows[] = {{.model_type = "mixtral",
                                 .config = Config,
                                 .names = {.experts = {.router = "block_sparse_moe.gate",
                                                       .experts = "block_sparse_moe.experts.",
                                                       .gate = "w1",
                                                       .up = "w3",
                                                       .down = "w2"}}}};
  return rows;
}

}  // namespace ft::model
