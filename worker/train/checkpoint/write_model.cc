#include "worker/train/checkpoint/write_model.h"

#include <torch/torch.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "worker/model/decoder/family.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/params/bnb_checkpoint.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/weights/gguf.h"
#include "worker/model/weights/quantization.h"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using weights::DType;
using weights::TensorInfo;

constexpr std::string_view kPrefix = "base_model.model.";
// What a model folder holds beside its weights and users of it need: vocabularies, templates, and a family's own code, which is
// copied and never run.
constexpr const char* kSideFiles[] = {"tokenizer.json",
                                      "tokenizer_config.json",
                                      "special_tokens_map.json",
                                      "added_tokens.json",
                                      "vocab.json",
                                      "generation_config.json",
                                      "merges.txt",
                                      "vocab.txt"};
constexpr const char* kSideEndings[] = {".model", ".tiktoken", ".jinja", ".py"};
constexpr uint64_t kMaxSideBytes = uint64_t{256} << 20;
constexpr size_t kMaxSideFiles = 1000;
constexpr uint64_t kMaxConfigBytes = 4 << 20;
constexpr int kMaxConfigDepth = 32;

bool IsBlockType(DType dtype) {
  return dtype == DType::kQ8_0 || dtype == DType::kQ4_0 || dtype == DType::kQ4_1;
}

bool IsFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF64 ||
         IsBlockType(dtype);
}

// The adapter's pairs by the name of the weight they change.
class Deltas {
 public:
  static StatusOr<Deltas> Open(const fs::path& dir) {
    Deltas deltas;
    if (dir.empty()) return deltas;
    ASSIGN_OR_RETURN(StoredAdapter adapter, OpenAdapter(dir));
    deltas.scale_ = adapter.config.alpha / adapter.config.rank;
    for (const std::string& module : adapter.modules) deltas.unused_.insert(module + ".weight");
    deltas.tensors_ = std::move(adapter.tensors);
    return deltas;
  }

  // Adds scale B A to `weight` [out, in] in place when the adapter has a pair for it.
  Status AddTo(const std::string& name, torch::Tensor& weight) {
    if (unused_.erase(name) == 0) return absl::OkStatus();
    const std::string module =
        StrCat(kPrefix, name.substr(0, name.size() - std::string_view(".weight").size()));
    const TensorInfo* a = tensors_->Find(module + ".lora_A.weight");
    const TensorInfo* b = tensors_->Find(module + ".lora_B.weight");
    FT_CHECK(a != nullptr && b != nullptr) << module;  // OpenAdapter has seen both.
    if (weight.dim() != 2 || a->shape.size() != 2 || b->shape.size() != 2 || a->shape[1] != weight.size(1) ||
        b->shape[0] != weight.size(0) || a->shape[0] != b->shape[1]) {
      return absl::InvalidArgumentError(
          StrCat("the adapter's shapes do not fit ", name, ": it belongs to another model"));
    }
    ASSIGN_OR_RETURN(const torch::Tensor lora_a, params::ReadTensor(*tensors_, *a));
    ASSIGN_OR_RETURN(const torch::Tensor lora_b, params::ReadTensor(*tensors_, *b));
    weight.add_(torch::matmul(lora_b, lora_a), scale_);
    ++merged_;
    return absl::OkStatus();
  }

  // A tied head may be stored, but nobody reads it.
  Status CheckHead(const nlohmann::json& config) const {
    const auto tied = config.find("tie_word_embeddings");
    if (!unused_.contains("lm_head.weight") || tied == config.end() || *tied != true) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "the adapter changes lm_head, which this model has in common with its embedding "
        "(tie_word_embeddings) and which cannot be changed alone: merge it with PEFT");
  }

  Status AllUsed() const {
    if (unused_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(StrCat("the model has no weight ", *unused_.begin(),
                                             " that the adapter changes: it belongs to another model"));
  }
  int merged() const { return merged_; }

 private:
  std::unique_ptr<weights::TensorSource> tensors_;
  double scale_ = 1;
  std::set<std::string> unused_;
  int merged_ = 0;
};

StatusOr<DType> OutputType(const std::string& wanted, DType stored) {
  if (wanted == "fp32") return DType::kF32;
  if (wanted == "bf16") return DType::kBF16;
  if (wanted == "fp16") return DType::kF16;
  if (wanted == "auto") return IsBlockType(stored) || stored == DType::kF64 ? DType::kF32 : stored;
  return absl::InvalidArgumentError(StrCat("dtype '", wanted, "' is none of: auto, fp32, bf16, fp16"));
}

torch::Tensor Rounded(const torch::Tensor& tensor, DType dtype) {
  if (dtype == DType::kBF16) return tensor.to(torch::kBFloat16);
  if (dtype == DType::kF16) return tensor.to(torch::kFloat16);
  return tensor;
}

// The matrices that quantised jobs quantise: the blocks' projections.
StatusOr<std::set<std::string>> ProjectionsOf(std::string_view config_text, const fs::path& model) {
  ASSIGN_OR_RETURN(const model::DecoderConfig config,
                   model::ParseConfig(config_text, (model / "config.json").string()));
  std::set<std::string> names;
  for (const model::StoredWeight& weight : model::LayoutOf(config)) {
    if (weight.role.part == model::Part::kProjection && !weight.role.bias) names.insert(weight.name);
  }
  return names;
}

// The widest type among weights: what a config.json that has one type for all must say.
DType Widest(DType a, DType b) { return a == b ? a : DType::kF32; }

const char* TorchName(DType dtype) {
  if (dtype == DType::kBF16) return "bfloat16";
  return dtype == DType::kF16 ? "float16" : "float32";
}

class ModelWriter {
 public:
  // `quantised`: the matrices that go through NF4.
  ModelWriter(const WriteModelOptions& options, const weights::TensorSource& source, Deltas deltas,
              std::set<std::string> quantised)
      : options_(options), source_(source), deltas_(std::move(deltas)), quantised_(std::move(quantised)) {}

  // model.safetensors in the folder, or shards and their index.
  StatusOr<WrittenModel> Write(const fs::path& folder) {
    WrittenModel written{.remarks = source_.remarks()};
    RETURN_IF_ERROR(PlanAll(written));
    ASSIGN_OR_RETURN(const std::vector<Shard> shards, Cut());
    std::string digests;
    for (const Shard& shard : shards) {
      ASSIGN_OR_RETURN(written.sha256, WriteShard(folder, shard, written.bytes));
      StrAppend(&digests, written.sha256, "\n");
    }
    RETURN_IF_ERROR(deltas_.AllUsed());
    written.merged = deltas_.merged();
    if (shards.size() == 1) return written;
    written.sha256 = Hex(Sha256Of(digests));
    RETURN_IF_ERROR(WriteIndex(folder, shards, written.bytes));
    return written;
  }

 private:
  enum class Kind { kWeight, kBnb4, kAsItIs };
  struct Planned {
    const TensorInfo* stored;
    TensorInfo out;
    Kind kind;
  };
  struct Shard {
    std::string file;
    std::span<const Planned> tensors;
  };

  // The plan in files of at most shard_bytes, but for a tensor that is larger alone.
  StatusOr<std::vector<Shard>> Cut() const {
    std::vector<size_t> ends;
    uint64_t bytes = 0;
    for (size_t i = 0; i < plan_.size(); ++i) {
      ASSIGN_OR_RETURN(const uint64_t size,
                       weights::StoredBytes(plan_[i].out.dtype, plan_[i].out.elements()));
      if (bytes > 0 && bytes + size > options_.shard_bytes) {
        ends.push_back(i);
        bytes = 0;
      }
      bytes += size;
    }
    ends.push_back(plan_.size());
    std::vector<Shard> shards;
    size_t first = 0;
    for (const size_t end : ends) {
      const std::string file = ends.size() == 1 ? "model.safetensors"
                                                : absl::StrFormat("model-%05d-of-%05d.safetensors",
                                                                  shards.size() + 1, ends.size());
      shards.push_back({file, std::span(plan_).subspan(first, end - first)});
      first = end;
    }
    return shards;
  }

  StatusOr<std::string> WriteShard(const fs::path& folder, const Shard& shard, int64_t& bytes) {
    std::vector<TensorInfo> infos;
    for (const Planned& planned : shard.tensors) infos.push_back(planned.out);
    ASSIGN_OR_RETURN(weights::SafetensorsWriter writer,
                     weights::SafetensorsWriter::Create(folder / shard.file, infos, {{"format", "pt"}}));
    for (const Planned& planned : shard.tensors) {
      ASSIGN_OR_RETURN(const torch::Tensor tensor, Value(planned));
      RETURN_IF_ERROR(
          writer.Append({static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}));
      bytes += static_cast<int64_t>(tensor.nbytes());
    }
    return writer.Finish();
  }

  static Status WriteIndex(const fs::path& folder, const std::vector<Shard>& shards, int64_t bytes) {
    nlohmann::json index = {{"metadata", {{"total_size", bytes}}}};
    for (const Shard& shard : shards) {
      for (const Planned& planned : shard.tensors) index["weight_map"][planned.out.name] = shard.file;
    }
    return WriteFileDurably(folder / "model.safetensors.index.json", index.dump(2) + "\n");
  }

  // Every tensor has a place in the plan, is part of another's, or is refused by name.
  Status PlanAll(WrittenModel& written) {
    std::optional<DType> widest;
    int tables = 0;
    for (const TensorInfo& info : source_.tensors()) {
      if (params::IsBnbCompanion(info.name)) continue;
      if (model::IsRotaryTable(info.name)) {
        ++tables;
        continue;
      }
      ASSIGN_OR_RETURN(const Planned planned, PlanOf(info));
      if (planned.kind != Kind::kAsItIs)
        widest = Widest(widest.value_or(planned.out.dtype), planned.out.dtype);
      plan_.push_back(planned);
    }
    if (!widest) return absl::InvalidArgumentError(StrCat(options_.model.string(), " holds no weights"));
    written.dtype = TorchName(*widest);
    if (tables > 0)
      written.remarks.push_back(
          StrCat(tables, " rotary tables are not written: they follow from config.json"));
    return absl::OkStatus();
  }

  StatusOr<Planned> PlanOf(const TensorInfo& info) {
    Planned planned{&info, info, Kind::kWeight};
    if (params::IsBnb4(source_, info.name)) {
      planned.kind = Kind::kBnb4;
      ASSIGN_OR_RETURN(planned.out.shape, params::BnbShape(source_, info.name));
      ASSIGN_OR_RETURN(planned.out.dtype, OutputType(options_.dtype, DType::kQ4_0));
      return planned;
    }
    if (const std::string_view packing = weights::PackingOf(info); !packing.empty()) {
      return absl::UnimplementedError(StrCat(options_.model.string(), ": tensor ", info.name,
                                             " is stored as ", packing, ", which is not read by this version",
                                             weights::TakeUnquantised()));
    }
    if (IsFloat(info.dtype)) {
      ASSIGN_OR_RETURN(planned.out.dtype, OutputType(options_.dtype, info.dtype));
      return planned;
    }
    if (info.name.ends_with(".weight") || info.name.ends_with(".bias")) {
      return absl::UnimplementedError(StrCat(options_.model.string(), ": tensor ", info.name, " has type ",
                                             Name(info.dtype), ", which holds no floating-point weights",
                                             weights::TakeUnquantised()));
    }
    planned.kind = Kind::kAsItIs;
    return planned;
  }

  StatusOr<torch::Tensor> Value(const Planned& planned) {
    const TensorInfo& info = *planned.stored;
    if (planned.kind == Kind::kAsItIs) {
      ASSIGN_OR_RETURN(const uint64_t bytes, weights::StoredBytes(info.dtype, info.elements()));
      torch::Tensor tensor = torch::empty({static_cast<int64_t>(bytes)}, torch::kUInt8);
      RETURN_IF_ERROR(source_.ReadBytes(info, {static_cast<std::byte*>(tensor.data_ptr()), bytes}));
      return tensor;
    }
    torch::Tensor tensor;
    if (planned.kind == Kind::kBnb4) {  // Already what a job sees.
      ASSIGN_OR_RETURN(tensor, params::DequantiseBnb(source_, info.name));
    } else {
      ASSIGN_OR_RETURN(tensor, params::ReadTensor(source_, info));
      if (quantised_.contains(info.name)) {
        tensor = ops::DequantiseNf4(ops::QuantiseNf4(tensor), torch::kFloat32);
      }
    }
    RETURN_IF_ERROR(deltas_.AddTo(info.name, tensor));
    return Rounded(tensor, planned.out.dtype).contiguous();
  }

  const WriteModelOptions& options_;
  const weights::TensorSource& source_;
  Deltas deltas_;
  const std::set<std::string> quantised_;
  std::vector<Planned> plan_;
};

StatusOr<std::string> ConfigOf(const fs::path& model) {
  if (model.extension() != ".gguf") return ReadFile(model / "config.json", kMaxConfigBytes);
  ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(model));
  return weights::GgufConfigJson(*file);
}

// Refuses what config.json says of quantised weights that are not read, and an adapter of a head that is none.
Status CheckConfig(const fs::path& model, const Deltas& deltas) {
  ASSIGN_OR_RETURN(const std::string text, ConfigOf(model));
  const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth < kMaxConfigDepth;
  };
  const nlohmann::json config = nlohmann::json::parse(text, shallow, /*allow_exceptions=*/false);
  if (!config.is_object())
    return absl::InvalidArgumentError(StrCat(model.string(), ": config.json is not a JSON object"));
  RETURN_IF_ERROR(weights::CheckQuantization(config, (model / "config.json").string()));
  return deltas.CheckHead(config);
}

// The config with what it says of stored weights made true: plain weights of type `dtype`. The text itself
// where it is so.
StatusOr<std::string> TrueConfig(const std::string& text, const fs::path& model, const std::string& dtype) {
  using Json = nlohmann::ordered_json;
  const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth < kMaxConfigDepth; };
  Json config = Json::parse(text, shallow, /*allow_exceptions=*/false);
  if (!config.is_object())
    return absl::InvalidArgumentError(StrCat(model.string(), ": config.json is not a JSON object"));
  const Json before = config;
  config.erase("quantization_config");
  const bool newer = config.contains("dtype");
  if (newer) config["dtype"] = dtype;
  if (!newer || config.contains("torch_dtype")) config["torch_dtype"] = dtype;
  if (config == before) return text;
  return config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool IsSideFile(const std::string& name) {
  return std::find(std::begin(kSideFiles), std::end(kSideFiles), name) != std::end(kSideFiles) ||
         std::any_of(std::begin(kSideEndings), std::end(kSideEndings),
                     [&](const char* ending) { return name.ends_with(ending); });
}

Status WriteSideFiles(const fs::path& model, const fs::path& out, const std::string& dtype) {
  ASSIGN_OR_RETURN(const std::string text, ConfigOf(model));
  ASSIGN_OR_RETURN(const std::string config, TrueConfig(text, model, dtype));
  RETURN_IF_ERROR(WriteFileDurably(out / "config.json", config));
  if (model.extension() == ".gguf") return absl::OkStatus();
  std::error_code error;
  size_t count = 0;
  for (fs::directory_iterator entry(model, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (!IsSideFile(name) || !entry->is_regular_file(ignored)) continue;
    if (entry->file_size(ignored) > kMaxSideBytes || ++count > kMaxSideFiles) continue;
    fs::copy_file(entry->path(), out / name, error);
    if (error) return ErrnoStatus("copy", model / name, error.value());
  }
  if (error) return ErrnoStatus("list", model, error.value());
  return absl::OkStatus();
}

}  // namespace

StatusOr<WrittenModel> WriteModel(const WriteModelOptions& options) {
  std::error_code ignored;
  if (fs::exists(options.out, ignored)) {
    return absl::AlreadyExistsError(StrCat(options.out.string(), " is there already: give a new folder"));
  }
  ASSIGN_OR_RETURN(Deltas deltas, Deltas::Open(options.adapter));
  RETURN_IF_ERROR(CheckConfig(options.model, deltas));
  ASSIGN_OR_RETURN(const auto source, weights::OpenWeights(options.model));
  std::set<std::string> quantised;
  if (options.dequantised) {
    ASSIGN_OR_RETURN(const std::string config, ConfigOf(options.model));
    ASSIGN_OR_RETURN(quantised, ProjectionsOf(config, options.model));
  }
  const fs::path full = fs::absolute(options.out).lexically_normal();
  const fs::path out = full.has_filename() ? full : full.parent_path();
  const fs::path beside = out.parent_path() / ("." + out.filename().string() + ".tmp");
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  StatusOr<WrittenModel> written =
      ModelWriter(options, *source, std::move(deltas), std::move(quantised)).Write(beside);
  Status status = written.status();
  if (status.ok()) status = WriteSideFiles(options.model, beside, written->dtype);
  if (status.ok() && ::rename(beside.c_str(), out.c_str()) != 0)
    status = ErrnoStatus("rename to", out, errno);
  if (!status.ok()) {
    fs::remove_all(beside, ignored);
    return status;
  }
  return written;
}

StatusOr<WrittenModel> WriteTrainedModel(const TrainedModelOptions& options,
                                         const params::ParameterStore& store) {
  const fs::path& out = options.out;
  const fs::path beside = out.parent_path() / ("." + out.filename().string() + ".tmp");
  std::error_code ignored;
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  WrittenModel written{.dtype = TorchName(DType::kF32)};
  for (int i = 0; i < store.size(); ++i) written.bytes += static_cast<int64_t>(store.value(i).nbytes());
  ASSIGN_OR_RETURN(written.sha256, WriteTensors(beside / "model.safetensors", ValuesOf(store),
                                                {{"format", "pt"}}, options.progress));
  RETURN_IF_ERROR(WriteSideFiles(options.model, beside, written.dtype));
  RETURN_IF_ERROR(WriteTextConfig(beside, options.text));
  fs::remove_all(out, ignored);
  if (::rename(beside.c_str(), out.c_str()) != 0) return ErrnoStatus("rename to", out, errno);
  RETURN_IF_ERROR(SyncDirectory(out.parent_path()));
  return written;
}

}  // namespace ft::checkpoint
