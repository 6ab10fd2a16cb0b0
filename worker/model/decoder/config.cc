#include "worker/model/decoder/config.h"

namespace ft::model {
namespace {

Status InRange(const char* what, int64_t value, int64_t most) {
  if (value >= 1 && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(what, " is ", value, ", must be from 1 to ", most));
}

}  // namespace

Status DecoderConfig::Validate() const {
  RETURN_IF_ERROR(InRange("vocab_size", vocabulary, int64_t{1} << 24));
  RETURN_IF_ERROR(InRange("hidden_size", hidden, int64_t{1} << 18));
  RETURN_IF_ERROR(InRange("num_hidden_layers", layers, 4000));
  RETURN_IF_ERROR(InRange("num_attention_heads", heads, 4096));
  RETURN_IF_ERROR(InRange("num_key_value_heads", key_heads, heads));
  RETURN_IF_ERROR(InRange("head_dim", head_size, 4096));
  RETURN_IF_ERROR(InRange("intermediate_size", intermediate, int64_t{1} << 18));
  RETURN_IF_ERROR(InRange("max_position_embeddings", max_positions, int64_t{1} << 31));
  if (heads % key_heads != 0) {
    return absl::InvalidArgumentError(
        StrCat("num_attention_heads(", heads, ") is no multiple of num_key_value_heads(", key_heads, ")"));
  }
  if (head_size % 2 != 0) {
    return absl::InvalidArgumentError(
        StrCat("head_dim is ", head_size, ": rotary positions need an even number"));
  }
  if (!(rope_theta > 1) || !(norm_epsilon >= 0) || !(rope_scaling.factor > 0)) {
    return absl::InvalidArgumentError(
        "rope_theta must be above 1, rms_norm_eps at least 0, rope factor above 0");
  }
  return absl::OkStatus();
}

}  // namespace ft::model
