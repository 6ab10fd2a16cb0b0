#include "worker/model/decoder/family.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/recipe/supported.h"
#include "worker/model/decoder/families.h"
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

const Family& FamilyOf(const DecoderConfig& config) {
  const Family* family = FindFamily(config.family);
  FT_CHECK(family != nullptr) << config.family;
  return *family;
}

// The text part of an image model has had two ways of being named in files: what the layout calls the tensor.
std::string TextName(const WeightNames& names, std::string_view stored) {
  struct Writing {
    std::string_view decoder, head;
  };
  static constexpr Writing kWritings[] = {{"language_model.model.", "language_model.lm_head."},
                                          {"model.language_model.", "lm_head."}};
  for (const Writing& own : kWritings) {
    if (!names.blocks.starts_with(own.decoder)) continue;
    for (const Writing& other : kWritings) {
      if (stored.starts_with(other.decoder)) return StrCat(own.decoder, stored.substr(other.decoder.size()));
      if (stored.starts_with(other.head)) return StrCat(own.head, stored.substr(other.head.size()));
    }
  }
  return std::string(stored);
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
  RETURN_IF_ERROR(WithContext(recipe::CheckFamily(name), file));
  FT_CHECK(family != nullptr) << name;  // core/recipe/supported.cc names those of the table.
  RETURN_IF_ERROR(weights::CheckQuantization(json, file));
  ConfigReader reader(json);
  DecoderConfig config = family->config(reader);
  if (!reader.status().ok()) return WithContext(reader.status(), file);
  config.family = family->model_type;
  if (Status valid = config.Validate(); !valid.ok()) return WithContext(valid, file);
  return config;
}

Layout LayoutOf(const DecoderConfig& config) {
  const Family& family = FamilyOf(config);
  return MakeLayout(config, family.names, family.products);
}

bool IsRotaryTable(std::string_view stored) {
  return stored.find(".rotary_emb.") != std::string_view::npos ||
         stored.find("rotary_pos_emb.") != std::string_view::npos;
}

std::string LayoutName(const DecoderConfig& config, std::string_view stored) {
  const std::string name = TextName(FamilyOf(config).names, stored);
  return IsRotaryTable(stored) || IsHeadCopy(config, name) ? "" : name;
}

bool IsTextPart(const DecoderConfig& config) {
  return FamilyOf(config).names.blocks.find("language_model.") != std::string_view::npos;
}

bool IsHeadCopy(const DecoderConfig& config, std::string_view stored) {
  return config.tied_head && stored == StrCat(FamilyOf(config).names.head, ".weight");
}

bool IsWithinDecoder(const DecoderConfig& config, std::string_view name) {
  const WeightNames& names = FamilyOf(config).names;
  for (const std::string_view part : {names.embedding, names.positions, names.final_norm, names.head}) {
    if (!part.empty() && name.starts_with(StrCat(part, "."))) return true;
  }
  if (!name.starts_with(names.blocks)) return false;
  int64_t layer = 0;
  const char* begin = name.data() + names.blocks.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), layer);
  return error != std::errc() || layer < config.layers;
}

}  // namespace ft::model
