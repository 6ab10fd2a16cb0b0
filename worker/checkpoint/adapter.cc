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

StatusOr<Json> ReadJson(const fs::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError(StrCat(path.string(), " is not a JSON object"));
  return json;
}

}  // namespace

StatusOr<WrittenAdapter> WriteAdapter(const fs::path& dir, const adapt::PeftConfig& config, const TextConfig& text,
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
  RETURN_IF_ERROR(WriteFileDurably(beside / kConfigFile, adapt::PeftConfigJson(config)));
  const Json text_json = {{"format", 1}, {"template", text.template_name}, {"tokenize", text.tokenize},
                          {"method", text.method}, {"system", text.system}};
  RETURN_IF_ERROR(WriteFileDurably(beside / kTextFile, text_json.dump(2) + "\n"));
  fs::remove_all(dir, ignored);
  if (::rename(beside.c_str(), dir.c_str()) != 0) return ErrnoStatus("rename to", dir, errno);
  RETURN_IF_ERROR(SyncDirectory(dir.parent_path()));
  return written;
}

StatusOr<adapt::PeftConfig> ReadAdapterConfig(const fs::path& dir) {
  const fs::path path = dir / kConfigFile;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  return adapt::ParsePeftConfig(text, path.string());
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
