#include "worker/train/checkpoint/write_model.h"

#include <torch/types.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <iterator>
#include <map>
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
#include "worker/model/decoder/fused_experts.h"
#include "worker/model/decoder/fused_part.h"
#include "worker/model/ops/int8.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/params/bnb_checkpoint.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/weights/gguf.h"
#include "worker/model/weights/mxfp4.h"
#include "worker/model/weights/quantization.h"
#include "worker/train/checkpoint/deltas.h"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using weights::DType;
using weights::TensorInfo;

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

// A model's experts: where its files have them, and where what is written has them.
class ExpertSource {
 public:
  static StatusOr<ExpertSource> Of(const model::Layout& layout, const weights::TensorSource& source,
                                   ExpertForm form) {
    RETURN_IF_ERROR(CheckForm(layout, form));
    ExpertSource experts;
    ASSIGN_OR_RETURN(experts.split_, model::SplitExperts(layout, source));
    experts.single_ = experts.split_ != nullptr ? experts.split_.get() : &source;
    const bool fuses = experts.split_ == nullptr && form == ExpertForm::kFused;
    if (experts.split_ == nullptr && !fuses) return experts;
    experts.splits_ = experts.split_ != nullptr && form == ExpertForm::kSplit;
    for (model::FusedTensor& fused : model::FusedTensors(layout)) {
      const std::string name = fused.name;
      const model::FusedTensor& kept = experts.tensors_[name] = std::move(fused);
      for (size_t i = 0; fuses && i < kept.parts.size(); ++i) {
        const std::string& part = kept.parts[i]->name;
        if (source.Find(part) == nullptr)
          return absl::InvalidArgumentError(
              StrCat("the weights have no tensor ", part, ", which config.json asks for"));
        experts.parts_[part] = name;
      }
    }
    return experts;
  }

  // What becomes of a stored tensor: null where it is no tensor of all experts.
  const model::FusedTensor* Find(std::string_view stored) const {
    if (stored.ends_with(weights::kMxfp4Blocks)) stored.remove_suffix(weights::kMxfp4Blocks.size());
    const auto found = tensors_.find(stored);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  bool IsSecondHalf(std::string_view stored) const {
    if (!stored.ends_with(weights::kMxfp4Scales)) return false;
    stored.remove_suffix(weights::kMxfp4Scales.size());
    return tensors_.contains(stored);
  }
  // The tensor that a stored matrix of one expert becomes a part of; null where it stays by itself.
  const model::FusedTensor* FusedOf(std::string_view stored) const {
    const auto found = parts_.find(stored);
    return found == parts_.end() ? nullptr : &tensors_.find(found->second)->second;
  }
  // Whether tensors of all experts are taken apart.
  bool splits() const { return splits_; }
  // Where each expert's matrices are by themselves.
  const weights::TensorSource& single() const { return *single_; }

 private:
  std::unique_ptr<weights::TensorSource> split_;
  const weights::TensorSource* single_ = nullptr;
  bool splits_ = false;
  std::map<std::string, model::FusedTensor, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> parts_;
};

// The widest type among weights: what a config.json that has one type for all must say.
DType Widest(DType a, DType b) { return a == b ? a : DType::kF32; }

const char* TorchName(DType dtype) {
  if (dtype == DType::kBF16) return "bfloat16";
  return dtype == DType::kF16 ? "float16" : "float32";
}

class ModelWriter {
 public:
  // `quantised`: the matrices that are quantised.
  ModelWriter(const WriteModelOptions& options, const weights::TensorSource& source, Deltas deltas,
              std::set<std::string> quantised, ExpertSource experts)
      : options_(options),
        source_(source),
        deltas_(std::move(deltas)),
        quantised_(std::move(quantised)),
        experts_(std::move(experts)) {}

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
  enum class Kind { kWeight, kBnb4, kExperts, kExpert, kAsItIs };
  struct Planned {
    const TensorInfo* stored;
    TensorInfo out;
    Kind kind;
    const model::FusedTensor* experts = nullptr;  // Of kExperts.
    const model::StoredWeight* expert = nullptr;  // Of kExpert.
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
      const model::FusedTensor* whole = experts_.FusedOf(info.name);
      if (experts_.IsSecondHalf(info.name) || (whole != nullptr && whole->parts.front()->name != info.name))
        continue;
      ASSIGN_OR_RETURN(Planned planned, PlanOf(info));
      if (whole != nullptr)
        planned = {&info, {whole->name, planned.out.dtype, whole->shape}, Kind::kExperts, whole};
      if (planned.kind != Kind::kAsItIs)
        widest = Widest(widest.value_or(planned.out.dtype), planned.out.dtype);
      AddPlanned(planned);
    }
    if (!widest) return absl::InvalidArgumentError(StrCat(options_.model.string(), " holds no weights"));
    written.dtype = TorchName(*widest);
    if (tables > 0)
      written.remarks.push_back(
          StrCat(tables, " rotary tables are not written: they follow from config.json"));
    return absl::OkStatus();
  }

  void AddPlanned(const Planned& planned) {
    if (planned.kind != Kind::kExperts || !experts_.splits()) return plan_.push_back(planned);
    for (const model::StoredWeight* part : planned.experts->parts)
      plan_.push_back(
          {planned.stored, {part->name, planned.out.dtype, part->shape}, Kind::kExpert, nullptr, part});
  }

  StatusOr<Planned> PlanOf(const TensorInfo& info) {
    Planned planned{&info, info, Kind::kWeight};
    if (const model::FusedTensor* experts = experts_.Find(info.name); experts != nullptr) {
      const DType stored =
          info.dtype == DType::kU8 ? DType::kBF16 : info.dtype;  // MXFP4's values are bfloat16's.
      ASSIGN_OR_RETURN(const DType type, OutputType(options_.dtype, stored));
      return Planned{&info, {experts->name, type, experts->shape}, Kind::kExperts, experts};
    }
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
    if (planned.kind == Kind::kExperts) return ExpertsValue(planned);
    if (planned.kind == Kind::kExpert) {
      ASSIGN_OR_RETURN(const torch::Tensor value, ExpertValue(*planned.expert));
      return Rounded(value, planned.out.dtype).contiguous();
    }
    torch::Tensor tensor;
    if (planned.kind == Kind::kBnb4) {  // Already what a job sees.
      ASSIGN_OR_RETURN(tensor, params::DequantiseBnb(source_, info.name));
    } else {
      ASSIGN_OR_RETURN(tensor, params::ReadTensor(source_, info));
      tensor = Seen(info.name, tensor);
    }
    RETURN_IF_ERROR(deltas_.AddTo(info.name, tensor));
    return Rounded(tensor, planned.out.dtype).contiguous();
  }

  // The weight as a job sees it.
  torch::Tensor Seen(const std::string& name, const torch::Tensor& stored) const {
    if (!quantised_.contains(name)) return stored;
    return options_.base == params::BaseKind::kInt8
               ? ops::DequantiseInt8(ops::QuantiseInt8(stored), torch::kFloat32)
               : ops::DequantiseNf4(ops::QuantiseNf4(stored), torch::kFloat32);
  }

  // One expert's matrix, with what the adapter makes of it.
  StatusOr<torch::Tensor> ExpertValue(const model::StoredWeight& part) {
    const weights::TensorSource& source = experts_.single();
    torch::Tensor value;
    if (params::IsBnb4(source, part.name)) {
      ASSIGN_OR_RETURN(value, params::DequantiseBnb(source, part.name));
    } else {
      ASSIGN_OR_RETURN(value, params::ReadTensor(source, *source.Find(part.name)));
      value = Seen(part.name, value);
    }
    if (value.sizes().vec() != part.shape) {
      return absl::InvalidArgumentError(StrCat("tensor ", part.name, " has shape ",
                                               weights::ShapeText(value.sizes().vec()),
                                               ", config.json asks for ", weights::ShapeText(part.shape)));
    }
    RETURN_IF_ERROR(deltas_.AddTo(part.name, value));
    return value;
  }

  // All experts in one tensor, expert by expert.
  StatusOr<torch::Tensor> ExpertsValue(const Planned& planned) {
    torch::Tensor whole = Rounded(torch::empty(planned.out.shape), planned.out.dtype);
    for (const model::StoredWeight* part : planned.experts->parts) {
      ASSIGN_OR_RETURN(const torch::Tensor value, ExpertValue(*part));
      model::PartOf(whole, *part).copy_(value);
    }
    return whole;
  }

  const WriteModelOptions& options_;
  const weights::TensorSource& source_;
  Deltas deltas_;
  const std::set<std::string> quantised_;
  const ExpertSource experts_;
  std::vector<Planned> plan_;
};

StatusOr<std::string> ConfigOf(const fs::path& model) {
  if (model.extension() != ".gguf") return ReadFile(model / "config.json", kMaxConfigBytes);
  ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(model));
  return weights::GgufConfigJson(*file);
}

// The layout of the model; empty where nothing is to be known of it and its family is not known.
StatusOr<model::Layout> LayoutFor(const fs::path& model, params::BaseKind base) {
  ASSIGN_OR_RETURN(const std::string text, ConfigOf(model));
  const StatusOr<model::DecoderConfig> config = model::ParseConfig(text, (model / "config.json").string());
  if (config.ok()) return model::LayoutOf(*config);
  if (base == params::BaseKind::kStored) return model::Layout();
  return config.status();
}

// The matrices that quantised jobs quantise, the blocks' projections, under their names in the layout and in the files.
StatusOr<std::set<std::string>> QuantisedOf(const fs::path& model, const model::Layout& layout,
                                            const weights::TensorSource& source) {
  ASSIGN_OR_RETURN(const std::string text, ConfigOf(model));
  ASSIGN_OR_RETURN(const model::DecoderConfig config,
                   model::ParseConfig(text, (model / "config.json").string()));
  std::set<std::string> names;
  for (const model::StoredWeight& weight : layout) {
    if (weight.quantised()) names.insert(weight.name);
  }
  for (const TensorInfo& info : source.tensors()) {
    if (names.contains(model::LayoutName(config, info.name))) names.insert(info.name);
  }
  return names;
}

// The store's values as files of the model's family have them: experts in one tensor where there is no other way to store them.
std::vector<PendingTensor> FilesValues(const model::Layout& layout, const params::ParameterStore& store,
                                       const ReadValue& read) {
  std::map<std::string, PendingTensor> values;
  for (PendingTensor& value : ValuesOf(store, read)) values[value.name] = std::move(value);
  for (const model::FusedTensor& fused : model::FusedTensors(layout)) {
    if (!fused.parts.front()->fused->only) continue;
    std::vector<std::pair<model::StoredWeight, PendingTensor>> parts;
    for (const model::StoredWeight* part : fused.parts) {
      auto value = values.extract(part->name);
      FT_CHECK(!value.empty()) << part->name;
      parts.emplace_back(*part, std::move(value.mapped()));
    }
    values[fused.name] = {fused.name, fused.shape,
                          [shape = fused.shape, parts = std::move(parts)]() -> StatusOr<torch::Tensor> {
                            torch::Tensor whole = torch::empty(shape);
                            for (const auto& [part, value] : parts) {
                              ASSIGN_OR_RETURN(const torch::Tensor made, value.make());
                              model::PartOf(whole, part).copy_(made);
                            }
                            return whole;
                          }};
  }
  std::vector<PendingTensor> tensors;
  for (auto& [name, value] : values) tensors.push_back(std::move(value));
  return tensors;
}

// Refuses what config.json says of quantised weights that are not read, and an adapter of a head that is none.
Status CheckConfig(const fs::path& model, Deltas& deltas) {
  ASSIGN_OR_RETURN(const std::string text, ConfigOf(model));
  const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth < kMaxConfigDepth;
  };
  const nlohmann::json config = nlohmann::json::parse(text, shallow, /*allow_exceptions=*/false);
  if (!config.is_object())
    return absl::InvalidArgumentError(StrCat(model.string(), ": config.json is not a JSON object"));
  RETURN_IF_ERROR(weights::CheckQuantization(config, (model / "config.json").string()));
  RETURN_IF_ERROR(deltas.CheckHead(config));
  return deltas.CheckSaved(text, (model / "config.json").string());
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

// Appends what the model stores and a full fine-tuning does not change: numbers of its blocks, and beside a text part that of images.
Status AddUntrained(const fs::path& model, const model::DecoderConfig& config,
                    const params::ParameterStore& store, std::vector<PendingTensor>& tensors) {
  if (!config.layer_scalars && !model::IsTextPart(config)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto source, weights::OpenWeights(model));
  std::set<std::string> untrained;
  for (const model::StoredWeight& weight : model::LayoutOf(config)) {
    if (!model::IsTrained(weight.role.part)) untrained.insert(weight.name);
  }
  for (const TensorInfo& info : source->tensors()) {
    const std::string name = model::LayoutName(config, info.name);
    const bool beside = model::IsTextPart(config) && !model::IsWithinDecoder(config, name);
    if (name.empty() || store.Find(name) >= 0 ||
        !(untrained.contains(name) || (beside && IsFloat(info.dtype))))
      continue;
    ASSIGN_OR_RETURN(torch::Tensor value, params::ReadTensor(*source, info));
    tensors.push_back(Pending({name, std::move(value)}));
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<WrittenModel> WriteModel(const WriteModelOptions& options) {
  std::error_code ignored;
  if (fs::exists(options.out, ignored)) {
    return absl::AlreadyExistsError(StrCat(options.out.string(), " is there already: give a new folder"));
  }
  ASSIGN_OR_RETURN(const model::Layout layout, LayoutFor(options.model, options.base));
  ASSIGN_OR_RETURN(Deltas deltas, Deltas::Open(options.adapter, layout));
  RETURN_IF_ERROR(CheckConfig(options.model, deltas));
  ASSIGN_OR_RETURN(const auto source, weights::OpenWeights(options.model));
  std::set<std::string> quantised;
  if (options.base != params::BaseKind::kStored) {
    ASSIGN_OR_RETURN(quantised, QuantisedOf(options.model, layout, *source));
  }
  ASSIGN_OR_RETURN(ExpertSource experts, ExpertSource::Of(layout, *source, options.experts));
  const fs::path full = fs::absolute(options.out).lexically_normal();
  const fs::path out = full.has_filename() ? full : full.parent_path();
  const fs::path beside = out.parent_path() / ("." + out.filename().string() + ".tmp");
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  StatusOr<WrittenModel> written =
      ModelWriter(options, *source, std::move(deltas), std::move(quantised), std::move(experts))
          .Write(beside);
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
  ASSIGN_OR_RETURN(const model::Layout layout, LayoutFor(options.model, params::BaseKind::kStored));
  std::vector<PendingTensor> tensors =
      FilesValues(layout, store, options.values ? options.values : OwnValues(store));
  if (options.config != nullptr)
    RETURN_IF_ERROR(AddUntrained(options.model, *options.config, store, tensors));
  for (const PendingTensor& tensor : tensors) {
    const weights::TensorInfo info{tensor.name, DType::kF32, tensor.shape};
    written.bytes += static_cast<int64_t>(sizeof(float) * info.elements());
  }
  ASSIGN_OR_RETURN(written.sha256,
                   WriteTensors(beside / "model.safetensors", tensors, {{"format", "pt"}}, options.progress));
  RETURN_IF_ERROR(WriteSideFiles(options.model, beside, written.dtype));
  RETURN_IF_ERROR(WriteTextConfig(beside, options.text));
  fs::remove_all(out, ignored);
  if (::rename(beside.c_str(), out.c_str()) != 0) return ErrnoStatus("rename to", out, errno);
  RETURN_IF_ERROR(SyncDirectory(out.parent_path()));
  return written;
}

}  // namespace ft::checkpoint
