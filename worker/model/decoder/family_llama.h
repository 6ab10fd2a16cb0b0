// The Llama family: Llama 1-3, Yi, DeepSeek-Coder, and whatever else says model_type llama.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/model/decoder/config.h"
#include "worker/model/decoder/layout.h"

namespace ft::model {

// Keys and defaults as Hugging Face's LlamaConfig; the family is the caller's. INVALID_ARGUMENT names a key of the wrong type or a
// missing one, UNIMPLEMENTED an activation or a rope scaling that is not built. Does not Validate().
StatusOr<DecoderConfig> LlamaConfig(const nlohmann::json& json);

// As family.h says of LayoutOf, LayoutName and IsWithinDecoder, for a decoder of Llama's shape whose weights have these names.
Layout LlamaLayout(const DecoderConfig& config, const WeightNames& names);
std::string LlamaLayoutName(const DecoderConfig& config, const WeightNames& names, std::string_view stored);
bool IsWithinLlama(const DecoderConfig& config, const WeightNames& names, std::string_view name);

}  // namespace ft::model
