#include "worker/model/decoder/config.h"

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

Status CheckRotary(const DecoderConfig& c, const Rotary& rotary) {
  const int64_t turned = c.TurnedSize(rotary);
  if (turned < 2 || turned > c.head_size || turned % 2 != 0) {
    return absl::InvalidArgumentError(StrCat("rotary positions turn ", turned, " of a head's ", c.head_size,
                                             " values: it must be an even number of them"));
  }
  if (!(rotary.theta > 1) || !(c.norm_epsilon >= 0) || !(rotary.scaling.factor > 0)) {
    return absl::InvalidArgumentError(
        "rope_theta must be above 1, rms_norm_eps at least 0, rope factor above 0");
  }
  return absl::OkStatus();
}

}  // namespace

Status DecoderConfig::Validate() const {
  RETURN_IF_ERROR(CheckSizes(*this));
  for (const Rotary& rotary : rotaries) RETURN_IF_ERROR(CheckRotary(*this, rotary));
  if (!(score_cap >= 0) || !(logit_cap >= 0) || !(score_scale >= 0) || !(norm_epsilon >= 0) || log_n < 0 ||
      log_n == 1) {
    return absl::InvalidArgumentError("caps, scales and lengths of attention must not be negative");
  }
  for (const LayerPlan& layer : plan) {
    if (layer.window < 0 || layer.window > (int64_t{1} << 31)) {
      return absl::InvalidArgumentError(
          StrCat("sliding_window is ", layer.window, ", must be from 1 to ", int64_t{1} << 31));
    }
  }
  return absl::OkStatus();
}

}  // namespace ft::model
