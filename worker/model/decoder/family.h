// The families of models that can be loaded: from a Hugging Face config.json to a DecoderConfig, and from the
// names of stored weights to canonical ones.
//
// Canonical names are those of Hugging Face's Llama: model.embed_tokens.weight,
// model.layers.<i>.self_attn.q_proj.weight,
// ..., model.norm.weight, lm_head.weight.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/model/decoder/config.h"

namespace ft::model {

// `file` is named in errors. UNIMPLEMENTED for a family or an option that this version does not know, with
// its name; INVALID_ARGUMENT for what is malformed.
StatusOr<DecoderConfig> ParseConfig(std::string_view json_text, std::string_view file);

// The canonical name of a stored weight; empty for tensors that carry no weights (old rotary tables, the
// second copy of a tied head).
std::string CanonicalName(const DecoderConfig& config, std::string_view stored);

}  // namespace ft::model
