#include "worker/model/decoder/config.h"

#include <utility>

namespace ft::model {
namespace {

Status InRange(const char* what, int64_t value, int64_t most) {
  if (value >= 1 && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(what, " is ", value, ", must be from 1 to ", most));
}

Status CheckSizes(const DecoderConfig& c) {
  RETURN_IF_ERROR(InRange("vocab_size", c.vocabulary, int64_t{1} << 24));
  RETURN_IF_ERROR(InRange("hidden_size", c.hidden, int64_t{1} << 18));
  RETURN_IF_ERROR(InRange("num_hidden_layers", c.layers, 4000));
  RETURN_IF_ERROR(InRange("num_attention_heads", c.heads, 4096));
  RETURN_IF_ERROR(InRange("num_key_value_heads", c.key_heads, c.heads));
  RETURN_IF_ERROR(InRange("head_dim", c.head_size, 4096));
  RETURN_IF_ERROR(InRange("intermediate_size", c.intermediate, int64_t{1} << 18));
  RETURN_IF_ERROR(InRange("max_position_embeddings", c.max_positions, int64_t{1} << 31));
  if (c.learned_positions)
    RETURN_IF_ERROR(InRange("max_position_embeddings", c.max_positions, int64_t{1} << 24));
  if (c.heads % c.key_heads != 0) {
    return absl::InvalidArgumentError(StrCat("num_attention_heads(", c.heads,
                                             ") is no multiple of num_key_value_heads(", c.key_heads, ")"));
  }
  if (c.head_size % 2 != 0) {
    return absl::InvalidArgumentError(
        StrCat("head_dim is ", c.head_size, ": rotary positions need an even number"));
  }
  return absl::OkStatus();
}

constexpr int64_t kMostExperts =
    1 << 16;  // Of all layers: more weights than any model has, and few enough to list.

Status CheckExperts(const Experts& e, int64_t layers) {
  RETURN_IF_ERROR(InRange("the number of experts", e.count, 4096));
  RETURN_IF_ERROR(InRange("the number of experts of all layers", e.count * layers, kMostExperts));
  RETURN_IF_ERROR(InRange("num_experts_per_tok", e.chosen, e.count));
  RETURN_IF_ERROR(InRange("the width of an expert", e.width, int64_t{1} << 18));
  RETURN_IF_ERROR(InRange("the number of groups of experts", e.groups, e.count));
  RETURN_IF_ERROR(InRange("topk_group", e.chosen_groups, e.groups));
  if (e.shared_width < 0 || e.shared_width > (int64_t{1} << 18)) {
    return absl::InvalidArgumentError(StrCat("the width of the shared experts is ", e.shared_width,
                                             ", must be from 0 to ", int64_t{1} << 18));
  }
  if (e.count % e.groups != 0 || e.count / e.groups * e.chosen_groups < e.chosen) {
    return absl::InvalidArgumentError(
        StrCat("n_group(", e.groups, ") does not divide ", e.count, " experts, or topk_group(",
               e.chosen_groups, ") of them hold fewer than num_experts_per_tok(", e.chosen, ")"));
  }
  if (!(e.scale > 0) || !(e.balance_weight >= 0)) {
    return absl::InvalidArgumentError(
        "the weight of the router's loss must be at least 0, routed_scaling_factor above 0");
  }
  return absl::OkStatus();
}

Status CheckLatent(const DecoderConfig& c) {
  const Latent& latent = c.latent;
  RETURN_IF_ERROR(InRange("kv_lora_rank", latent.width, int64_t{1} << 18));
  RETURN_IF_ERROR(InRange("qk_nope_head_dim", latent.plain, 4096));
  RETURN_IF_ERROR(InRange("qk_rope_head_dim", latent.turned, 4096));
  return InRange("v_head_dim", latent.value, latent.plain + latent.turned);
}

Status CheckTurned(int64_t turned, int64_t head_size) {
  if (turned >= 2 && turned <= head_size && turned % 2 == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat("rotary positions turn ", turned, " of a head's ", head_size,
                                           " values: it must be an even number of them"));
}

Status CheckRotary(const DecoderConfig& c, const Rotary& rotary) {
  const int64_t turned = c.TurnedSize(rotary);
  // Of a table of some layers alone, CheckLayers knows the heads.
  if (c.plan.empty()) RETURN_IF_ERROR(CheckTurned(turned, c.head_size));
  if (!(rotary.theta > 1) || !(c.norm_epsilon >= 0) || !(rotary.scaling.factor > 0)) {
    return absl::InvalidArgumentError(
        "rope_theta must be above 1, rms_norm_eps at least 0, rope factor above 0");
  }
  const RopeScaling& scaling = rotary.scaling;
  for (const auto& [what, factors] :
       {std::pair("short_factor", &scaling.short_factors), std::pair("long_factor", &scaling.long_factors)}) {
    if (scaling.kind != RopeScaling::Kind::kLongRope || static_cast<int64_t>(factors->size()) == turned / 2)
      continue;
    return absl::InvalidArgumentError(StrCat("rope_scaling: ", what, " has ", factors->size(), " numbers, ",
                                             turned / 2, " pairs of a head's values turn"));
  }
  return absl::OkStatus();
}

Status CheckLayer(const DecoderConfig& c, int64_t layer) {
  const LayerPlan plan = c.PlanOf(layer);
  if (plan.window < 0 || plan.window > (int64_t{1} << 31)) {
    return absl::InvalidArgumentError(
        StrCat("sliding_window is ", plan.window, ", must be from 1 to ", int64_t{1} << 31));
  }
  const int64_t size = c.HeadSizeOf(layer), key_heads = c.KeyHeadsOf(layer);
  RETURN_IF_ERROR(InRange("the head size of full layers", size, 4096));
  RETURN_IF_ERROR(InRange("the key heads of full layers", key_heads, c.heads));
  if (size % 2 != 0 || c.heads % key_heads != 0) {
    return absl::InvalidArgumentError(StrCat("full layers have heads of ", size, " values and ", key_heads,
                                             " key heads: the first must be even, the second divide "
                                             "num_attention_heads(",
                                             c.heads, ")"));
  }
  if (plan.rotary == LayerPlan::kNoRotary) return absl::OkStatus();
  const Rotary& rotary = c.rotaries[static_cast<size_t>(plan.rotary)];
  return CheckTurned(rotary.size == 0 ? size : rotary.size, size);
}

}  // namespace

DecoderConfig DecoderConfig::AsLayer(int64_t layer) const {
  DecoderConfig config = *this;
  config.head_size = HeadSizeOf(layer);
  config.key_heads = KeyHeadsOf(layer);
  config.plan = {PlanOf(layer)};
  return config;
}

Status DecoderConfig::Validate() const {
  RETURN_IF_ERROR(CheckSizes(*this));
  for (const Rotary& rotary : rotaries) RETURN_IF_ERROR(CheckRotary(*this, rotary));
  if (!(score_cap >= 0) || !(logit_cap >= 0) || !(gate_clamp >= 0) || !(score_scale >= 0) ||
      !(norm_epsilon >= 0) || log_n < 0 || log_n == 1) {
    return absl::InvalidArgumentError("caps, scales and lengths of attention must not be negative");
  }
  if (!(residual_scale > 0) || !(logit_scale > 0) || !(embedding_scale > 0))
    return absl::InvalidArgumentError("multipliers of embedding, sub-layers and logits must be above 0");
  if (latent.width != 0) RETURN_IF_ERROR(CheckLatent(*this));
  if (experts.count != 0) RETURN_IF_ERROR(CheckExperts(experts, layers));
  for (int64_t layer = 0; !plan.empty() && layer < layers; ++layer) RETURN_IF_ERROR(CheckLayer(*this, layer));
  return absl::OkStatus();
}

}  // namespace ft::model
