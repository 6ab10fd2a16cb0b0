#include "worker/checkpoint/adapter.h"

#include <cerrno>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "worker/weights/safetensors.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTextFile = "finetuned.json";
constexpr uint64_t kMaxConfigBytes = 1 << 20;

Json ConfigJson(const AdapterConfig& config) {
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", config.base_model},
          {"r", config.rank},
          {"lora_alpha", config.alpha},
          {"lora_dropout", config.dropout},
          {"target_modules", config.targets},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"inference_mode", true},
          {"init_lora_weights", true},
          {"modules_to_save", nullptr},
          {"use_dora", false},
          {"use_rslora", false}};
}

StatusOr<Json> ReadJson(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError(StrCat(path.string(), " is not a JSON object"));
  return json;
}

bool IsSet(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return false;
  return !(found->is_boolean() && !found->get<bool>()) && !(found->is_object() && found->empty());
}

}  // namespace

StatusOr<WrittenAdapter> WriteAdapter(const fs::path& dir, const AdapterConfig& config, const TextConfig& text,
                                      const std::vector<optim::ParamRef>& parameters) {
  const fs::path beside = dir.parent_path() / ("." + dir.filename().string() + ".tmp");
  std::error_code ignored;
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  std::vector<weights::TensorData> tensors;
  for (const optim::ParamRef& p : parameters) {
    tensors.push_back({{p.name, weights::DType::kF32, p.value.sizes().vec()},
                       {static_cast<const std::byte*>(p.value.const_data_ptr()), p.value.nbytes()}});
  }
  WrittenAdapter written;
  ASSIGN_OR_RETURN(written.sha256,
                   weights::WriteSafetensors(beside / "adapter_model.safetensors", tensors, {{"format", "pt"}}));
  RETURN_IF_ERROR(WriteFileDurably(beside / kConfigFile, ConfigJson(config).dump(2) + "\n"));
  const Json text_json = {{"format", 1}, {"template", text.template_name}, {"tokenize", text.tokenize},
                          {"method", text.method}, {"system", text.system}};
  RETURN_IF_ERROR(WriteFileDurably(beside / kTextFile, text_json.dump(2) + "\n"));
  fs::remove_all(dir, ignored);
  if (::rename(beside.c_str(), dir.c_str()) != 0) return ErrnoStatus("rename to", dir, errno);
  RETURN_IF_ERROR(SyncDirectory(dir.parent_path()));
  return written;
}

StatusOr<AdapterConfig> ReadAdapterConfig(const fs::path& dir) {
  const fs::path path = dir / kConfigFile;
  ASSIGN_OR_RETURN(const Json json, ReadJson(path));
  const auto refuse = [&](std::string_view why) {
    return absl::InvalidArgumentError(StrCat(path.string(), ": ", why));
  };
  const auto number = [&](const char* key) { return json.contains(key) && json[key].is_number(); };
  if (!json.contains("peft_type") || json["peft_type"] != "LORA") return refuse("peft_type is not LORA");
  for (const char* key : {"use_dora", "use_rslora", "fan_in_fan_out", "lora_bias", "rank_pattern", "alpha_pattern",
                          "modules_to_save", "layer_replication", "trainable_token_indices"}) {
    if (IsSet(json, key)) return refuse(StrCat("'", key, "' is set, which this version does not read"));
  }
  if (json.contains("bias") && json["bias"] != "none") return refuse("'bias' is not \"none\", which this version does not read");
  if (!number("r") || !number("lora_alpha")) return refuse("'r' or 'lora_alpha' is missing");
  AdapterConfig config{.rank = json["r"].get<int>(), .alpha = json["lora_alpha"].get<double>()};
  if (config.rank < 1 || config.rank > 65536) return refuse(StrCat("r ", config.rank, " is not between 1 and 65536"));
  if (number("lora_dropout")) config.dropout = json["lora_dropout"].get<double>();
  if (json.contains("base_model_name_or_path") && json["base_model_name_or_path"].is_string()) {
    config.base_model = json["base_model_name_or_path"].get<std::string>();
  }
  if (!json.contains("target_modules") || !json["target_modules"].is_array()) {
    return refuse("'target_modules' is not a list of names");
  }
  for (const Json& target : json["target_modules"]) {
    if (!target.is_string()) return refuse("'target_modules' is not a list of names");
    config.targets.push_back(target.get<std::string>());
  }
  return config;
}

StatusOr<TextConfig> ReadTextConfig(const fs::path& dir) {
  StatusOr<Json> json = ReadJson(dir / kTextFile);
  if (absl::IsNotFound(json.status())) return TextConfig();
  RETURN_IF_ERROR(json.status());
  TextConfig text;
  const auto take = [&](const char* key, std::string& out) {
    if (json->contains(key) && (*json)[key].is_string()) out = (*json)[key].get<std::string>();
  };
  take("template", text.template_name);
  take("tokenize", text.tokenize);
  take("method", text.method);
  take("system", text.system);
  return text;
}

}  // namespace ft::checkpoint
