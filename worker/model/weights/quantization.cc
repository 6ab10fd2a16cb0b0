#include "worker/model/weights/quantization.h"

#include <utility>

namespace ft::weights {
namespace {

using nlohmann::json;

// Methods by the names that config.json gives them, and the names that people know them by.
constexpr std::pair<std::string_view, std::string_view> kMethods[] = {
    {"gptq", "GPTQ"}, {"awq", "AWQ"},       {"fp8", "FP8"},   {"fbgemm_fp8", "FP8"},  {"aqlm", "AQLM"},
    {"hqq", "HQQ"},   {"quanto", "Quanto"}, {"eetq", "EETQ"}, {"torchao", "TorchAO"},
};

std::string TextAt(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool IsTrue(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && *found == true;
}

Status Refused(std::string_view file, std::string_view key, std::string_view value, std::string_view name) {
  return absl::UnimplementedError(StrCat(file, ": ", key, " is ", value, ": ", name,
                                         " weights are not read by this version", TakeUnquantised()));
}

Status CheckConfig(const json& settings, std::string_view file) {
  const std::string method = TextAt(settings, "quant_method");
  if (method == "bitsandbytes" ||
      (method.empty() && (IsTrue(settings, "load_in_4bit") || IsTrue(settings, "load_in_8bit")))) {
    if (!IsTrue(settings, "load_in_8bit") && !IsTrue(settings, "_load_in_8bit")) return absl::OkStatus();
    return Refused(file, "quantization_config.load_in_8bit", "true", "bitsandbytes 8-bit (LLM.int8)");
  }
  if (method == "mxfp4") return absl::OkStatus();  // Of experts; what else is packed so is missed by name.
  std::string_view name = method.empty() ? std::string_view("these") : std::string_view(method);
  for (const auto& [key, known] : kMethods) {
    if (key == method) name = known;
  }
  return Refused(file, "quantization_config.quant_method",
                 method.empty() ? std::string_view("not given") : std::string_view(method), name);
}

}  // namespace

std::string_view TakeUnquantised() {
  return "; take the model that was quantised, in BF16 or F16: method qlora keeps it in 4 bits while it "
         "trains";
}

Status CheckQuantization(const json& config, std::string_view file) {
  if (!config.is_object()) return absl::OkStatus();
  if (const auto found = config.find("quantization_config"); found != config.end() && found->is_object()) {
    return CheckConfig(*found, file);
  }
  // What MLX writes: {"group_size": 64, "bits": 4}.
  if (const auto found = config.find("quantization"); found != config.end() && found->is_object()) {
    return Refused(file, "quantization", "given", "MLX");
  }
  return absl::OkStatus();
}

std::string_view PackingOf(const TensorInfo& info) {
  const std::string_view name = info.name;
  for (const std::string_view suffix : {".qweight", ".qzeros", ".g_idx"}) {
    if (name.ends_with(suffix)) return "GPTQ or AWQ";
  }
  for (const std::string_view suffix : {".weight_packed", ".weight_shape", ".weight_zero_point"}) {
    if (name.ends_with(suffix)) return "compressed-tensors";
  }
  const bool is_weight = name.ends_with(".weight");
  if (name.ends_with(".SCB") || (is_weight && info.dtype == DType::kI8))
    return "bitsandbytes 8-bit (LLM.int8)";
  return "";
}

std::string_view PackingOfWeight(const TensorSource& source, std::string_view weight) {
  if (const TensorInfo* stored = source.Find(weight); stored != nullptr) return PackingOf(*stored);
  const std::string_view module = weight.substr(0, weight.rfind('.'));
  for (const std::string_view suffix : {".qweight", ".weight_packed"}) {
    if (const TensorInfo* stored = source.Find(StrCat(module, suffix)); stored != nullptr)
      return PackingOf(*stored);
  }
  return "";
}

}  // namespace ft::weights
