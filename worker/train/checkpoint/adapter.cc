#include "worker/train/checkpoint/adapter.h"

#include <cerrno>
#include <set>
#include <string_view>
#include <utility>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "worker/model/weights/renamed_source.h"
#include "worker/train/checkpoint/tensor_file.h"

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

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kLoraA = ".lora_A.", kLoraB = ".lora_B.";

// The name WriteAdapter would give a tensor that PEFT, or a trainer built on it, called `stored`.
std::string PeftName(std::string_view stored) {
  std::string_view rest = stored;
  if (rest.starts_with(kPrefix)) rest.remove_prefix(kPrefix.size());
  // The name in a bare decoder, without "model.".
  const std::string_view decoder = rest.starts_with("layers.") ? "model." : "";
  for (const std::string_view which : {kLoraA, kLoraB}) {
    const size_t at = rest.find(which);
    // Between the two may stand the adapter's name.
    if (at == std::string_view::npos || !rest.ends_with(".weight")) continue;
    return StrCat(kPrefix, decoder, rest.substr(0, at), which, "weight");
  }
  return std::string(stored);
}

StatusOr<std::unique_ptr<weights::TensorSource>> OpenAdapterWeights(const fs::path& dir) {
  std::error_code error;
  for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"}) {
    if (fs::exists(dir / name, error)) return weights::OpenWeights(dir / name);
  }
  return absl::NotFoundError(StrCat(dir.string(),
                                    " holds no adapter_model.safetensors and no adapter_model.bin; copy the "
                                    "adapter's folder again"));
}

// The layer of a tensor that is half of a pair; INVALID_ARGUMENT for any other.
StatusOr<std::string> ModuleOf(const weights::TensorSource& tensors, const std::string& name) {
  for (const auto& [mine, other] : {std::pair(kLoraA, kLoraB), std::pair(kLoraB, kLoraA)}) {
    const std::string end = StrCat(mine, "weight");
    if (!name.starts_with(kPrefix) || !name.ends_with(end)) continue;
    const std::string module = name.substr(kPrefix.size(), name.size() - kPrefix.size() - end.size());
    if (tensors.Find(StrCat(kPrefix, module, other, "weight")) != nullptr) return module;
    return absl::InvalidArgumentError(
        StrCat("tensor ", name, " has no other half, ", other.substr(1), "weight"));
  }
  return absl::InvalidArgumentError(
      StrCat("tensor ", name,
             " is no lora_A or lora_B of a linear layer: adapters of embeddings, "
             "magnitudes and saved layers are not read, merge it with PEFT"));
}

}  // namespace

StatusOr<WrittenAdapter> WriteAdapter(const WriteAdapterOptions& options,
                                      const params::ParameterStore& store) {
  const fs::path& dir = options.dir;
  const fs::path beside = dir.parent_path() / ("." + dir.filename().string() + ".tmp");
  std::error_code ignored;
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  WrittenAdapter written;
  ASSIGN_OR_RETURN(written.sha256, WriteTensors(beside / "adapter_model.safetensors", ValuesOf(store),
                                                {{"format", "pt"}}, options.progress));
  RETURN_IF_ERROR(WriteFileDurably(beside / kConfigFile, params::PeftConfigJson(options.config)));
  RETURN_IF_ERROR(WriteTextConfig(beside, options.text));
  fs::remove_all(dir, ignored);
  if (::rename(beside.c_str(), dir.c_str()) != 0) return ErrnoStatus("rename to", dir, errno);
  RETURN_IF_ERROR(SyncDirectory(dir.parent_path()));
  return written;
}

Status WriteTextConfig(const fs::path& dir, const TextConfig& text) {
  const Json text_json = {{"format", 1},
                          {"template", text.template_name},
                          {"tokenize", text.tokenize},
                          {"method", text.method},
                          {"system", text.system}};
  return WriteFileDurably(dir / kTextFile, text_json.dump(2) + "\n");
}

StatusOr<StoredAdapter> OpenAdapter(const fs::path& dir) {
  StoredAdapter adapter;
  ASSIGN_OR_RETURN(adapter.config, ReadAdapterConfig(dir));
  ASSIGN_OR_RETURN(std::unique_ptr<weights::TensorSource> stored, OpenAdapterWeights(dir));
  StatusOr<std::unique_ptr<weights::RenamedSource>> renamed =
      weights::RenamedSource::Make(std::move(stored), [](const std::string& name) { return PeftName(name); });
  RETURN_IF_ERROR(WithContext(renamed.status(), dir.string()));
  adapter.tensors = *std::move(renamed);
  std::set<std::string> modules;
  for (const weights::TensorInfo& info : adapter.tensors->tensors()) {
    StatusOr<std::string> module = ModuleOf(*adapter.tensors, info.name);
    RETURN_IF_ERROR(WithContext(module.status(), dir.string()));
    modules.insert(*std::move(module));
  }
  if (modules.empty())
    return absl::InvalidArgumentError(StrCat(dir.string(), ": the adapter changes no layer"));
  adapter.modules.assign(modules.begin(), modules.end());
  return adapter;
}

StatusOr<params::PeftConfig> ReadAdapterConfig(const fs::path& dir) {
  const fs::path path = dir / kConfigFile;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  return params::ParsePeftConfig(text, path.string());
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
