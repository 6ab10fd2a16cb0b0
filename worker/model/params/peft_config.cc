#include "worker/model/params/peft_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <type_traits>

namespace ft::params {
namespace {

using nlohmann::json, nlohmann::ordered_json;

// Options that are off when absent, null, false, empty or "none".
bool IsOn(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null() || *found == false || *found == "none") return false;
  return !((found->is_object() || found->is_array()) && found->empty());
}

Status RefuseUnbuilt(const json& object, std::string_view file) {
  for (const char* key : {"bias", "fan_in_fan_out", "lora_bias", "use_qalora", "trainable_token_indices",
                          "layer_replication", "alora_invocation_tokens"}) {
    if (IsOn(object, key)) {
      return absl::UnimplementedError(StrCat(file, ": option ", key,
                                             " is not supported by this version; merge the adapter with "
                                             "PEFT (merge_and_unload) and use the merged model"));
    }
  }
  return absl::OkStatus();
}

constexpr size_t kMostPatterns = 10'000;

bool Flag(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && *found == true;
}

// What is left out, null or an object of names and numbers; in the file's order, since the first key that fits counts.
template <typename T>
Status ReadPattern(const ordered_json& object, const char* key, std::vector<std::pair<std::string, T>>& out) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return absl::OkStatus();
  const auto bad = [&](std::string_view what) { return absl::InvalidArgumentError(StrCat(key, " ", what)); };
  if (!found->is_object() || found->size() > kMostPatterns) return bad("is no mapping of names to numbers");
  for (const auto& item : found->items()) {
    const ordered_json& value = item.value();
    const double number = value.is_number() ? value.get<double>() : 0;
    if (!(number > 0) || number > 65536 || (std::is_integral_v<T> && !value.is_number_integer()))
      return bad(StrCat("has for ", item.key(), " no number above 0 and at most 65536"));
    out.emplace_back(item.key(), static_cast<T>(number));
  }
  return absl::OkStatus();
}

Status ReadSaved(const ordered_json& object, std::vector<std::string>& out) {
  const auto found = object.find("modules_to_save");
  if (found == object.end() || found->is_null()) return absl::OkStatus();
  if (!found->is_array()) return absl::InvalidArgumentError("modules_to_save is no list of names");
  for (const auto& name : *found) {
    if (!name.is_string() || name.get<std::string>().empty())
      return absl::InvalidArgumentError("modules_to_save holds something else than names");
    out.push_back(name.get<std::string>());
  }
  return absl::OkStatus();
}

StatusOr<AdapterKind> ReadKind(const ordered_json& object) {
  AdapterKind kind{.use_rslora = Flag(object, "use_rslora"),
                   .use_dora = Flag(object, "use_dora"),
                   .ensure_weight_tying = Flag(object, "ensure_weight_tying")};
  RETURN_IF_ERROR(ReadPattern(object, "rank_pattern", kind.rank_pattern));
  for (const auto& [name, rank] : kind.rank_pattern) {
    if (rank < 1 || rank > 1024)
      return absl::InvalidArgumentError(StrCat("rank_pattern has for ", name, " no rank from 1 to 1024"));
  }
  RETURN_IF_ERROR(ReadPattern(object, "alpha_pattern", kind.alpha_pattern));
  RETURN_IF_ERROR(ReadSaved(object, kind.modules_to_save));
  return kind;
}

template <typename T>
ordered_json PatternJson(const std::vector<std::pair<std::string, T>>& pattern) {
  ordered_json object = ordered_json::object();
  for (const auto& [name, value] : pattern) object[name] = value;
  return object;
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
  StatusOr<AdapterKind> kind = ReadKind(ordered_json::parse(json_text, nullptr, /*allow_exceptions=*/false));
  if (!kind.ok()) return bad(Message(kind.status()));
  config.kind = *std::move(kind);
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
  const AdapterKind& kind = config.kind;
  const auto list = [](const std::vector<std::string>& names) {
    return names.empty() ? ordered_json() : ordered_json(names);
  };
  ordered_json object = {{"base_model_name_or_path", config.base_model},
                         {"bias", "none"},
                         {"fan_in_fan_out", false},
                         {"inference_mode", true},
                         {"init_lora_weights", true},
                         {"lora_alpha", config.alpha},
                         {"lora_dropout", config.dropout},
                         {"modules_to_save", list(kind.modules_to_save)},
                         {"peft_type", "LORA"},
                         {"r", config.rank},
                         {"target_modules", list(targets)},
                         {"task_type", "CAUSAL_LM"},
                         {"use_dora", kind.use_dora},
                         {"use_rslora", kind.use_rslora}};
  if (!config.target_parameters.empty()) object["target_parameters"] = config.target_parameters;
  // Keys that older versions of PEFT do not know, and that change nothing when they are absent.
  if (!kind.rank_pattern.empty()) object["rank_pattern"] = PatternJson(kind.rank_pattern);
  if (!kind.alpha_pattern.empty()) object["alpha_pattern"] = PatternJson(kind.alpha_pattern);
  if (kind.ensure_weight_tying) object["ensure_weight_tying"] = true;
  return object.dump(2) + "\n";
}

}  // namespace ft::params
