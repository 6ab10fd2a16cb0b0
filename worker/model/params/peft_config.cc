#include "worker/model/params/peft_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ft::params {
namespace {

using nlohmann::json;

// Options that are off when absent, null, false, empty or "none".
bool IsOn(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null() || *found == false || *found == "none") return false;
  return !((found->is_object() || found->is_array()) && found->empty());
}

Status RefuseUnbuilt(const json& object, std::string_view file) {
  for (const char* key : {"use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save",
                          "bias", "fan_in_fan_out", "lora_bias", "use_qalora", "trainable_token_indices",
                          "target_parameters", "layer_replication", "alora_invocation_tokens"}) {
    if (IsOn(object, key)) {
      return absl::UnimplementedError(StrCat(file, ": option ", key,
                                             " is not supported by this version; merge the adapter with "
                                             "PEFT (merge_and_unload) and use the merged model"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<PeftConfig> ParsePeftConfig(std::string_view json_text, std::string_view file) {
  const auto shallow = [](int depth, json::parse_event_t, json&) { return depth < 16; };
  const json object = json::parse(json_text, shallow, /*allow_exceptions=*/false);
  const auto bad = [&](std::string_view what) {
    return absl::InvalidArgumentError(StrCat(file, ": ", what));
  };
  if (!object.is_object()) return bad("not a JSON object");
  if (object.value("peft_type", json("LORA")) != "LORA") return bad("peft_type is not LORA");
  RETURN_IF_ERROR(RefuseUnbuilt(object, file));
  const json rank = object.value("r", json()), alpha = object.value("lora_alpha", json());
  const json dropout = object.value("lora_dropout", json(0.0)),
             targets = object.value("target_modules", json());
  if (!rank.is_number_integer() || !alpha.is_number() || !dropout.is_number()) {
    return bad("r, lora_alpha and lora_dropout must be numbers");
  }
  const auto whole_rank = rank.get<int64_t>();
  if (whole_rank < 1 || whole_rank > 1024) return bad("r must be from 1 to 1024");
  PeftConfig config{
      .rank = static_cast<int>(whole_rank), .alpha = alpha.get<double>(), .dropout = dropout.get<double>()};
  if (targets.is_string()) {
    config.targets = {targets.get<std::string>()};
  } else if (targets.is_array() && !targets.empty()) {
    for (const json& target : targets) {
      if (!target.is_string()) return bad("target_modules holds something else than names");
      config.targets.push_back(target.get<std::string>());
    }
  } else if (!targets.is_null()) {
    return bad("target_modules must be a list of names, a regular expression, or \"all-linear\"");
  }
  const json base = object.value("base_model_name_or_path", json());
  if (base.is_string()) config.base_model = base.get<std::string>();
  return config;
}

std::string PeftConfigJson(const PeftConfig& config) {
  std::vector<std::string> targets = config.targets;
  std::sort(targets.begin(), targets.end());
  nlohmann::ordered_json object = {
      {"base_model_name_or_path", config.base_model},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"lora_alpha", config.alpha},
      {"lora_dropout", config.dropout},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", config.rank},
      {"target_modules", targets.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(targets)},
      {"task_type", "CAUSAL_LM"},
      {"use_dora", false},
      {"use_rslora", false}};
  return object.dump(2) + "\n";
}

}  // namespace ft::params
