#include "worker/train/checkpoint/adapter.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <string_view>
#include <utility>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "worker/model/params/adapters.h"
#include "worker/model/weights/renamed_source.h"
#include "worker/train/checkpoint/expert_adapter.h"
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
constexpr std::string_view kMagnitude = ".lora_magnitude_vector";

// The name WriteAdapter would give a tensor that PEFT, or a trainer built on it, called `stored`.
std::string PeftName(std::string_view stored) {
  std::string_view rest = stored;
  if (rest.starts_with(kPrefix)) rest.remove_prefix(kPrefix.size());
  // The name in a bare decoder, without "model.".
  const std::string_view decoder = rest.starts_with("layers.") ? "model." : "";
  const auto module = [&](size_t end) { return params::AdapterModule(StrCat(decoder, rest.substr(0, end))); };
  for (const std::string_view which : {kLoraA, kLoraB}) {
    const size_t at = rest.find(which);
    // Between the two may stand the adapter's name.
    if (at == std::string_view::npos || !rest.ends_with(".weight")) continue;
    return StrCat(kPrefix, module(at), which, "weight");
  }
  if (const size_t at = rest.find(kMagnitude); at != std::string_view::npos)
    return params::MagnitudeName(module(at));
  if (rest.ends_with(".weight") || rest.ends_with(".bias")) return params::SavedName(StrCat(decoder, rest));
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

// What the adapter's tensors say of it, one after another.
class TensorsOf {
 public:
  TensorsOf(const weights::TensorSource& tensors, const params::PeftConfig& config)
      : tensors_(tensors), config_(config) {}

  // INVALID_ARGUMENT for a tensor that is no part of what the config describes.
  Status Take(const weights::TensorInfo& info) {
    const std::string& name = info.name;
    if (!name.starts_with(kPrefix)) return Unknown(name);
    for (const auto& [mine, other] : {std::pair(kLoraA, kLoraB), std::pair(kLoraB, kLoraA)}) {
      const std::string end = StrCat(mine, "weight");
      if (!name.ends_with(end)) continue;
      const std::string module = ModuleBefore(name, end);
      if (tensors_.Find(StrCat(kPrefix, module, other, "weight")) == nullptr) {
        return absl::InvalidArgumentError(
            StrCat("tensor ", name, " has no other half, ", other.substr(1), "weight"));
      }
      modules_.insert(module);
      return mine == kLoraA ? TakeRank(module, info) : absl::OkStatus();
    }
    if (name.ends_with(kMagnitude)) return TakeMagnitude(name);
    const std::string module = ModuleBefore(name, name.substr(name.rfind('.')));
    if (!config_.kind.Saves(module)) return Unknown(name);
    saved_.insert(module);
    return absl::OkStatus();
  }

  // Sets the adapter's modules, and in its config what the tensors say.
  Status Finish(StoredAdapter& adapter) const {
    if (modules_.empty() && saved_.empty()) return absl::InvalidArgumentError("the adapter changes no layer");
    for (const std::string& module : modules_) {
      if (config_.kind.use_dora && tensors_.Find(params::MagnitudeName(module)) == nullptr) {
        return absl::InvalidArgumentError(StrCat("use_dora is true, and ", module,
                                                 " has no lora_magnitude_vector: copy the adapter again"));
      }
    }
    adapter.modules.assign(modules_.begin(), modules_.end());
    adapter.config.kind.rank_pattern = ranks_;
    adapter.config.kind.modules_to_save.assign(saved_.begin(), saved_.end());
    return absl::OkStatus();
  }

 private:
  static std::string ModuleBefore(const std::string& name, std::string_view end) {
    return name.substr(kPrefix.size(), name.size() - kPrefix.size() - end.size());
  }

  static Status Unknown(const std::string& name) {
    return absl::InvalidArgumentError(
        StrCat("tensor ", name,
               " is no lora_A or lora_B of a linear layer, and of no module that modules_to_save names: "
               "adapters of embeddings are not read, merge it with PEFT"));
  }

  Status TakeRank(const std::string& module, const weights::TensorInfo& a) {
    const int64_t rank = a.shape.empty() ? 0 : a.shape.front();
    // What is no linear layer has the ranks of all experts together (SplitExperts).
    if (module.ends_with(".experts") || module.ends_with(".base_layer")) return absl::OkStatus();
    if (rank < 1 || rank > 1024)
      return absl::InvalidArgumentError(
          StrCat("tensor ", a.name, " has rank ", rank, ", not from 1 to 1024"));
    if (rank != config_.rank) ranks_.emplace_back(module, static_cast<int>(rank));
    return absl::OkStatus();
  }

  Status TakeMagnitude(const std::string& name) const {
    const std::string module = ModuleBefore(name, kMagnitude);
    if (config_.kind.use_dora && tensors_.Find(StrCat(kPrefix, module, kLoraA, "weight")) != nullptr)
      return absl::OkStatus();
    return absl::InvalidArgumentError(StrCat(
        "tensor ", name, config_.kind.use_dora ? " belongs to no lora_A" : " is there without use_dora",
        ": copy the adapter again"));
  }

  const weights::TensorSource& tensors_;
  const params::PeftConfig& config_;
  std::set<std::string> modules_, saved_;
  std::vector<std::pair<std::string, int>> ranks_;
};

}  // namespace

StatusOr<WrittenAdapter> WriteAdapter(const WriteAdapterOptions& options,
                                      const params::ParameterStore& store) {
  std::vector<NamedTensor> values;
  for (const PendingTensor& value : ValuesOf(store, options.values ? options.values : OwnValues(store))) {
    ASSIGN_OR_RETURN(torch::Tensor whole, value.make());
    values.push_back({value.name, std::move(whole)});
  }
  ASSIGN_OR_RETURN(FusedAdapter adapter, FuseExperts(options.layout, std::move(values)));
  params::PeftConfig config = options.config;
  for (const auto& [parameter, fused] : adapter.parameters) {
    config.target_parameters.push_back(parameter);
    // What is adapted as a parameter is no module to PEFT.
    std::erase_if(config.targets,
                  [&](const std::string& target) { return parameter.ends_with("." + target); });
  }
  return WriteAdapterFolder(options.dir, config, options.text, std::move(adapter.tensors), options.progress);
}

StatusOr<WrittenAdapter> WriteAdapterFolder(const fs::path& dir, const params::PeftConfig& config,
                                            const TextConfig& text, std::vector<NamedTensor> tensors,
                                            const weights::SafetensorsWriter::Progress& progress) {
  const fs::path beside = dir.parent_path() / ("." + dir.filename().string() + ".tmp");
  std::error_code ignored;
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  std::vector<PendingTensor> pending;
  for (NamedTensor& tensor : tensors) pending.push_back(Pending(std::move(tensor)));
  WrittenAdapter written;
  ASSIGN_OR_RETURN(written.sha256,
                   WriteTensors(beside / "adapter_model.safetensors", pending, {{"format", "pt"}}, progress));
  RETURN_IF_ERROR(WriteFileDurably(beside / kConfigFile, params::PeftConfigJson(config)));
  RETURN_IF_ERROR(WriteTextConfig(beside, text));
  fs::remove_all(dir, ignored);
  if (::rename(beside.c_str(), dir.c_str()) != 0) return ErrnoStatus("rename to", dir, errno);
  RETURN_IF_ERROR(SyncDirectory(dir.parent_path()));
  return written;
}

Status WriteTextConfig(const fs::path& dir, const TextConfig& text) {
  Json text_json = {{"format", 1},
                    {"template", text.template_name},
                    {"tokenize", text.tokenize},
                    {"method", text.method},
                    {"system", text.system}};
  if (!text.eos_token.empty()) text_json["eos_token"] = text.eos_token;
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
  TensorsOf tensors(*adapter.tensors, adapter.config);
  for (const weights::TensorInfo& info : adapter.tensors->tensors())
    RETURN_IF_ERROR(WithContext(tensors.Take(info), dir.string()));
  RETURN_IF_ERROR(WithContext(tensors.Finish(adapter), dir.string()));
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
  take("eos_token", text.eos_token);
  return text;
}

}  // namespace ft::checkpoint
