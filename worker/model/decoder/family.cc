#include "worker/model/decoder/family.h"

#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "worker/model/decoder/family_llama.h"
#include "worker/model/weights/quantization.h"

namespace ft::model {
namespace {

constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr int kMaxDepth = 32;

// A document nested deeper than any config is refused before it can exhaust the stack.
bool TooDeep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted) {
      if (text[i] == '\\') ++i;
      if (i < text.size() && text[i] == '"') quoted = false;
      continue;
    }
    if (text[i] == '"') quoted = true;
    if (text[i] == '[' || text[i] == '{') ++depth;
    if (text[i] == ']' || text[i] == '}') --depth;
    if (depth > kMaxDepth) return true;
  }
  return false;
}

struct Family {
  std::string_view model_type;
  WeightNames names = {};
  StatusOr<DecoderConfig> (*config)(const nlohmann::json& json) = LlamaConfig;
  Layout (*layout)(const DecoderConfig& config, const WeightNames& names) = LlamaLayout;
  std::string (*layout_name)(const DecoderConfig& config, const WeightNames& names,
                             std::string_view stored) = LlamaLayoutName;
  bool (*is_within_decoder)(const DecoderConfig& config, const WeightNames& names,
                            std::string_view name) = IsWithinLlama;
};

// Every family. One that is a Llama with other names is a row with these names.
constexpr Family kFamilies[] = {
    {.model_type = "llama"},
};

const Family* FindFamily(std::string_view model_type) {
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return &family;
  }
  return nullptr;
}

const Family& FamilyOf(const DecoderConfig& config) {
  const Family* family = FindFamily(config.family);
  FT_CHECK(family != nullptr) << config.family;
  return *family;
}

std::string KnownFamilies() {
  std::string names;
  for (const Family& family : kFamilies) StrAppend(&names, names.empty() ? "" : ", ", family.model_type);
  return names;
}

}  // namespace

StatusOr<DecoderConfig> ParseConfig(std::string_view json_text, std::string_view file) {
  if (json_text.size() > kMaxConfigBytes || TooDeep(json_text)) {
    return absl::InvalidArgumentError(
        StrCat(file, ": too large or too deeply nested for a model's configuration"));
  }
  const nlohmann::json json = nlohmann::json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError(StrCat(file, ": not a JSON object"));
  const auto type = json.find("model_type");
  if (type == json.end() || !type->is_string()) {
    return absl::InvalidArgumentError(StrCat(file, ": has no model_type, so the model's family is unknown"));
  }
  const std::string name = type->get<std::string>();
  const Family* family = FindFamily(name);
  if (family == nullptr) {
    return absl::UnimplementedError(
        StrCat(file, ": model family \"", name,
               "\" is not supported by this version (supported: ", KnownFamilies(), ")"));
  }
  RETURN_IF_ERROR(weights::CheckQuantization(json, file));
  StatusOr<DecoderConfig> config = family->config(json);
  if (!config.ok()) return WithContext(config.status(), file);
  config->family = family->model_type;
  if (Status valid = config->Validate(); !valid.ok()) return WithContext(valid, file);
  return config;
}

Layout LayoutOf(const DecoderConfig& config) {
  const Family& family = FamilyOf(config);
  return family.layout(config, family.names);
}

std::string LayoutName(const DecoderConfig& config, std::string_view stored) {
  const Family& family = FamilyOf(config);
  return family.layout_name(config, family.names, stored);
}

bool IsWithinDecoder(const DecoderConfig& config, std::string_view name) {
  const Family& family = FamilyOf(config);
  return family.is_within_decoder(config, family.names, name);
}

}  // namespace ft::model
