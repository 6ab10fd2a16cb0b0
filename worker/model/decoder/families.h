// The table of families: a file family_*.cc gives each row, or several that are near relations. Only these files name families.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "worker/model/decoder/config.h"
#include "worker/model/decoder/config_reader.h"
#include "worker/model/decoder/layout.h"

namespace ft::model {

struct Family {
  std::string_view model_type;
  // Keys and defaults as the family's own configuration class; family and Validate() are the caller's. Complains to the reader:
  // INVALID_ARGUMENT of a key that is missing or of the wrong type, UNIMPLEMENTED of what would change the result and is not built.
  DecoderConfig (*config)(ConfigReader& read);
  std::vector<Product> (*products)(const DecoderConfig& config) = SeparateProducts;
  WeightNames names = {};
};

// Names of norms where attention and MLP have one before and one behind.
inline constexpr WeightNames kNormsAround = {.attention_behind = "post_attention_layernorm",
                                             .mlp_norm = "pre_feedforward_layernorm",
                                             .mlp_behind = "post_feedforward_layernorm"};

// What a file gives.
using FamilyRows = std::span<const Family>;
FamilyRows LlamaFamilies();
FamilyRows MistralFamilies();
FamilyRows QwenFamilies();
FamilyRows Qwen2Families();
FamilyRows InternLmFamilies();
FamilyRows BaichuanFamilies();
FamilyRows ChatGlmFamilies();
FamilyRows GptBigCodeFamilies();
FamilyRows GemmaFamilies();
FamilyRows Phi3Families();
FamilyRows MixtralFamilies();
FamilyRows DeepSeekFamilies();
FamilyRows GptOssFamilies();
FamilyRows Gemma3Families();
FamilyRows Gemma4Families();
FamilyRows Glm4Families();
FamilyRows GraniteFamilies();
FamilyRows OlmoFamilies();
FamilyRows SmolLm3Families();

// Null where there is none.
const Family* FindFamily(std::string_view model_type);

}  // namespace ft::model
