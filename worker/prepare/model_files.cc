#include "worker/prepare/model_files.h"

#include <initializer_list>
#include <string>

#include <nlohmann/json.hpp>

#include "core/base/file.h"

namespace ft::prepare {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;
constexpr int64_t kMaxVocab = int64_t{1} << 24;

// Nested only a little: a config deeper than this is no config.
constexpr int kMaxConfigDepth = 32;

nlohmann::json ParseBounded(const std::string& text) {
  bool too_deep = false;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    too_deep = too_deep || depth > kMaxConfigDepth;
    return !too_deep;
  };
  nlohmann::json parsed = nlohmann::json::parse(text, watch, /*allow_exceptions=*/false);
  return too_deep ? nlohmann::json(nlohmann::json::value_t::discarded) : parsed;
}

}  // namespace

StatusOr<int64_t> VocabSizeOf(const std::filesystem::path& model) {
  const std::filesystem::path path = model / "config.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  const nlohmann::json config = ParseBounded(text);
  if (!config.is_object()) {
    return absl::InvalidArgumentError(StrCat(path.string(), " is not a JSON object; copy the model's folder again"));
  }
  // Models with several parts keep the language model's settings in text_config.
  const nlohmann::json* const text_config = config.contains("text_config") ? &config["text_config"] : nullptr;
  for (const nlohmann::json* settings : {&config, text_config}) {
    if (settings == nullptr || !settings->is_object() || !settings->contains("vocab_size")) continue;
    const nlohmann::json& size = settings->at("vocab_size");
    if (!size.is_number_integer() || size.get<int64_t>() < 1 || size.get<int64_t>() > kMaxVocab) {
      return absl::InvalidArgumentError(StrCat(path.string(), ": vocab_size is not a positive whole number"));
    }
    return size.get<int64_t>();
  }
  return absl::InvalidArgumentError(StrCat(path.string(), ": vocab_size is missing; copy the model's folder again"));
}

}  // namespace ft::prepare
