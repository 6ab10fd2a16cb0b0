#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "worker/weights/gguf.h"
#include "worker/weights/pickle.h"
#include "worker/weights/safetensors.h"
#include "worker/weights/tensor_source.h"
#include "worker/weights/tensor_table.h"
#include "worker/weights/weight_map.h"

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

  Status AddShard(std::unique_ptr<TensorSource> shard, const std::string& file,
                  const std::map<std::string, std::string>& weight_map) {
    for (const TensorInfo& info : shard->tensors()) {
      const auto entry = weight_map.find(info.name);
      if (entry == weight_map.end() || entry->second != file) continue;
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
    RETURN_IF_ERROR(source->AddShard(*std::move(shard), file, weight_map));
  }
  for (const auto& [tensor, file] : weight_map) {
    if (source->Find(tensor) != nullptr) continue;
    return absl::InvalidArgumentError(StrCat(index_file.string(), ": tensor '", tensor, "' is not in ", file,
                                             ", where the index places it"));
  }
  return source;
}

}  // namespace

StatusOr<std::unique_ptr<TensorSource>> OpenWeights(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return absl::NotFoundError(StrCat(path.string(), " does not exist"));
  if (!fs::is_directory(path, error)) return OpenFile(path);
  for (const std::string name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                 "pytorch_model.bin.index.json"}) {
    if (!fs::exists(path / name, error)) continue;
    return name.ends_with(".json") ? OpenIndex(path / name) : OpenFile(path / name);
  }
  if (const std::optional<fs::path> gguf = OnlyGguf(path)) return OpenFile(*gguf);
  return absl::NotFoundError(StrCat(
      path.string(),
      " holds no weights: no model.safetensors, pytorch_model.bin, index of shards or single .gguf file"));
}

}  // namespace ft::weights
