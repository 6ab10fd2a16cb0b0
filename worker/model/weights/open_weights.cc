#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "core/base/file.h"
#include "worker/model/weights/gguf.h"
#include "worker/model/weights/pickle.h"
#include "worker/model/weights/renamed_source.h"
#include "worker/model/weights/safetensors.h"
#include "worker/model/weights/tensor_source.h"
#include "worker/model/weights/tensor_table.h"
#include "worker/model/weights/weight_map.h"

namespace ft::weights {
namespace {

namespace fs = std::filesystem;

// Several files seen as one: the tensors that an index names, file after file. Thread-safe as its files are.
class ShardedSource final : public TensorSource {
 public:
  const std::vector<TensorInfo>& tensors() const override { return table_.tensors(); }
  const TensorInfo* Find(std::string_view name) const override { return table_.Find(name); }
  Status ReadBytes(const TensorInfo& info, std::span<std::byte> out) const override {
    const std::optional<size_t> index = table_.IndexOf(info.name);
    if (!index) return absl::NotFoundError(StrCat("no tensor '", info.name, "' in the model's files"));
    return owners_[*index]->ReadBytes(info, out);
  }
  Status ReadPart(const TensorInfo& info, uint64_t first, std::span<std::byte> out) const override {
    const std::optional<size_t> index = table_.IndexOf(info.name);
    if (!index) return absl::NotFoundError(StrCat("no tensor '", info.name, "' in the model's files"));
    return owners_[*index]->ReadPart(info, first, out);
  }

  // Without a map all of the shard's tensors are the model's.
  Status AddShard(std::unique_ptr<TensorSource> shard, const std::string& file,
                  const std::map<std::string, std::string>* weight_map) {
    for (const TensorInfo& info : shard->tensors()) {
      if (weight_map != nullptr) {
        const auto entry = weight_map->find(info.name);
        if (entry == weight_map->end() || entry->second != file) continue;
      }
      RETURN_IF_ERROR(table_.Add(info));
      owners_.push_back(shard.get());
    }
    shards_.push_back(std::move(shard));
    return absl::OkStatus();
  }

 private:
  TensorTable table_;
  std::vector<const TensorSource*> owners_;  // By index in table_.
  std::vector<std::unique_ptr<TensorSource>> shards_;
};

StatusOr<std::unique_ptr<TensorSource>> OpenFile(const fs::path& path) {
  const std::string extension = path.extension().string();
  if (extension == ".safetensors") return SafetensorsFile::Open(path);
  if (extension == ".bin") return TorchFile::Open(path);
  if (extension == ".gguf") return GgufFile::Open(path);
  return absl::InvalidArgumentError(
      StrCat(path.string(), " is no weight file: give a model folder, a .safetensors, .bin or .gguf file"));
}

// The one .gguf file of a folder; nothing when there are none or several.
std::optional<fs::path> OnlyGguf(const fs::path& folder) {
  std::optional<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() != ".gguf") continue;
    if (found) return std::nullopt;
    found = entry->path();
  }
  return found;
}

StatusOr<std::unique_ptr<TensorSource>> OpenIndex(const fs::path& index_file) {
  ASSIGN_OR_RETURN(const auto weight_map, ReadWeightMap(index_file));
  std::map<std::string, std::string> files;  // File name to the first tensor that the index places there.
  for (const auto& [tensor, file] : weight_map) files.emplace(file, tensor);
  auto source = std::make_unique<ShardedSource>();
  for (const auto& [file, tensor] : files) {
    const fs::path path = index_file.parent_path() / file;
    StatusOr<std::unique_ptr<TensorSource>> shard = OpenFile(path);
    if (absl::IsNotFound(shard.status())) {
      return absl::NotFoundError(StrCat(path.string(), " is missing, but ", index_file.string(),
                                        " places tensor '", tensor,
                                        "' in it; fetch the model's files again"));
    }
    RETURN_IF_ERROR(shard.status());
    RETURN_IF_ERROR(source->AddShard(*std::move(shard), file, &weight_map));
  }
  for (const auto& [tensor, file] : weight_map) {
    if (source->Find(tensor) != nullptr) continue;
    return absl::InvalidArgumentError(StrCat(index_file.string(), ": tensor '", tensor, "' is not in ", file,
                                             ", where the index places it"));
  }
  return source;
}

// "model-00002-of-00003.safetensors": the second of three.
struct ShardName {
  std::string stem;  // "model-"
  std::string extension;
  int64_t number = 0;
  int64_t count = 0;
  std::string Of(int64_t i) const {
    const std::string digits = StrCat(i), all = StrCat(count);
    return StrCat(stem, std::string(kDigits - std::min(kDigits, digits.size()), '0'), digits, "-of-",
                  std::string(kDigits - std::min(kDigits, all.size()), '0'), all, extension);
  }
  static constexpr size_t kDigits = 5;
};

std::optional<ShardName> ParseShardName(const fs::path& path) {
  constexpr std::string_view kOf = "-of-";
  ShardName name{.extension = path.extension().string()};
  if (name.extension != ".safetensors" && name.extension != ".bin") return std::nullopt;
  const std::string stem = path.stem().string();
  const size_t tail = ShardName::kDigits + kOf.size() + ShardName::kDigits;
  if (stem.size() <= tail ||
      stem.compare(stem.size() - ShardName::kDigits - kOf.size(), kOf.size(), kOf) != 0)
    return std::nullopt;
  name.stem = stem.substr(0, stem.size() - tail);
  const auto number = [&](size_t from, int64_t& out) {
    const char* begin = stem.data() + from;
    const auto [end, failure] = std::from_chars(begin, begin + ShardName::kDigits, out);
    return failure == std::errc() && end == begin + ShardName::kDigits;
  };
  if (!number(stem.size() - tail, name.number) || !number(stem.size() - ShardName::kDigits, name.count))
    return std::nullopt;
  if (name.number < 1 || name.count < name.number) return std::nullopt;
  return name;
}

// Shards that lie there without the index that says what is in them: taken as a whole when all of the set are
// there.
StatusOr<std::unique_ptr<TensorSource>> OpenNumberedShards(const fs::path& folder, const ShardName& name) {
  const std::string index =
      StrCat(name.extension == ".bin" ? "pytorch_model" : "model", name.extension, ".index.json");
  auto source = std::make_unique<ShardedSource>();
  for (int64_t i = 1; i <= name.count; ++i) {
    const std::string file = name.Of(i);
    StatusOr<std::unique_ptr<TensorSource>> shard = OpenFile(folder / file);
    if (absl::IsNotFound(shard.status())) {
      return absl::NotFoundError(StrCat(folder.string(), " holds shards of ", name.count, " and no ", index,
                                        ", and ", file, " is missing; fetch the model's files again"));
    }
    RETURN_IF_ERROR(shard.status());
    RETURN_IF_ERROR(
        WithContext(source->AddShard(*std::move(shard), file, nullptr), (folder / file).string()));
  }
  source->AddRemark(
      StrCat(index, " is missing: all ", name.count, " shards are there and were taken as the whole model"));
  return source;
}

// No file has one of the usual names: shards without an index, a GGUF file, or a sentence that names what
// lies there.
StatusOr<std::unique_ptr<TensorSource>> OpenUnusual(const fs::path& folder) {
  std::vector<std::string> others;
  std::optional<ShardName> shards;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::optional<ShardName> name = ParseShardName(entry->path());
    if (name && (!shards || name->extension == ".safetensors")) shards = name;
    if (entry->path().extension() == ".safetensors") others.push_back(entry->path().filename().string());
  }
  if (shards) return OpenNumberedShards(folder, *shards);
  if (const std::optional<fs::path> gguf = OnlyGguf(folder)) return OpenFile(*gguf);
  if (!others.empty()) {
    std::sort(others.begin(), others.end());
    return absl::NotFoundError(
        StrCat(folder.string(), " holds ", others.front(), others.size() > 1 ? " and others," : "",
               " but no model.safetensors and no model.safetensors.index.json that says which tensor "
               "lies in which file; fetch the model's files again"));
  }
  return absl::NotFoundError(StrCat(
      folder.string(),
      " holds no weights: no model.safetensors, pytorch_model.bin, index of shards or single .gguf file"));
}

StatusOr<std::unique_ptr<TensorSource>> OpenStored(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return absl::NotFoundError(StrCat(path.string(), " does not exist"));
  if (!fs::is_directory(path, error)) return OpenFile(path);
  for (const std::string name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                 "pytorch_model.bin.index.json"}) {
    if (!fs::exists(path / name, error)) continue;
    return name.ends_with(".json") ? OpenIndex(path / name) : OpenFile(path / name);
  }
  return OpenUnusual(path);
}

// Whether the folder's model has a text part beside others, whose names tell the parts apart.
bool HoldsTextPart(const fs::path& folder) {
  constexpr uint64_t kMaxConfigBytes = 1 << 20;
  const StatusOr<std::string> text = ReadFile(folder / "config.json", kMaxConfigBytes);
  if (!text.ok()) return false;
  const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) { return depth < 32; };
  const nlohmann::json json = nlohmann::json::parse(*text, shallow, /*allow_exceptions=*/false);
  return json.is_object() && json.contains("text_config");
}

}  // namespace

StatusOr<std::unique_ptr<TensorSource>> OpenWeights(const fs::path& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<TensorSource> source, OpenStored(path));
  if (HoldsTextPart(path)) return source;
  return WithDecoderNames(std::move(source));
}

}  // namespace ft::weights
