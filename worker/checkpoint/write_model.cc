#include "worker/checkpoint/write_model.h"

#include <torch/torch.h>

#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "core/base/file.h"
#include "worker/checkpoint/adapter.h"
#include "worker/ops/nf4.h"
#include "worker/weights/gguf.h"
#include "worker/weights/safetensors.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using weights::DType;
using weights::TensorInfo;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSuffixA = ".lora_A.weight";
constexpr std::string_view kSuffixB = ".lora_B.weight";
// What a model folder holds beside its weights and users of it need.
constexpr const char* kSideFiles[] = {"tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
                                      "added_tokens.json", "chat_template.jinja", "vocab.json", "merges.txt",
                                      "generation_config.json"};

bool IsBlockType(DType dtype) { return dtype == DType::kQ8_0 || dtype == DType::kQ4_0 || dtype == DType::kQ4_1; }

bool IsFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF64 || IsBlockType(dtype);
}

StatusOr<torch::Tensor> ReadF32(const weights::TensorSource& source, const TensorInfo& info) {
  torch::Tensor tensor = torch::empty(info.shape, torch::kFloat32);
  RETURN_IF_ERROR(weights::ReadFloat32(source, info, {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())}));
  return tensor;
}

// The adapter's pairs by the name of the weight they change.
class Deltas {
 public:
  static StatusOr<Deltas> Open(const fs::path& dir) {
    Deltas deltas;
    if (dir.empty()) return deltas;
    ASSIGN_OR_RETURN(const adapt::PeftConfig config, ReadAdapterConfig(dir));
    deltas.scale_ = config.alpha / config.rank;
    ASSIGN_OR_RETURN(deltas.file_, weights::SafetensorsFile::Open(dir / "adapter_model.safetensors"));
    for (const TensorInfo& info : deltas.file_->tensors()) {
      if (!info.name.starts_with(kPrefix) || !info.name.ends_with(kSuffixA)) continue;
      const std::string module = info.name.substr(kPrefix.size(), info.name.size() - kPrefix.size() - kSuffixA.size());
      deltas.unused_.insert(module + ".weight");
    }
    if (deltas.unused_.size() * 2 != deltas.file_->tensors().size()) {
      return absl::InvalidArgumentError(
          StrCat(dir.string(), ": adapter_model.safetensors holds tensors that are no lora_A and lora_B pairs"));
    }
    return deltas;
  }

  // Adds scale B A to `weight` [out, in] in place when the adapter has a pair for it.
  Status AddTo(const std::string& name, torch::Tensor& weight) {
    if (unused_.erase(name) == 0) return absl::OkStatus();
    const std::string module = StrCat(kPrefix, name.substr(0, name.size() - std::string_view(".weight").size()));
    const TensorInfo* a = file_->Find(StrCat(module, kSuffixA));
    const TensorInfo* b = file_->Find(StrCat(module, kSuffixB));
    if (b == nullptr) return absl::InvalidArgumentError(StrCat("the adapter has no ", module, kSuffixB));
    if (weight.dim() != 2 || a->shape.size() != 2 || b->shape.size() != 2 || a->shape[1] != weight.size(1) ||
        b->shape[0] != weight.size(0) || a->shape[0] != b->shape[1]) {
      return absl::InvalidArgumentError(StrCat("the adapter's shapes do not fit ", name, ": it belongs to another model"));
    }
    ASSIGN_OR_RETURN(const torch::Tensor lora_a, ReadF32(*file_, *a));
    ASSIGN_OR_RETURN(const torch::Tensor lora_b, ReadF32(*file_, *b));
    weight.add_(torch::matmul(lora_b, lora_a), scale_);
    ++merged_;
    return absl::OkStatus();
  }

  Status AllUsed() const {
    if (unused_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(StrCat("the model has no weight ", *unused_.begin(),
                                             " that the adapter changes: it belongs to another model"));
  }
  int merged() const { return merged_; }

 private:
  std::unique_ptr<weights::SafetensorsFile> file_;
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

// Quantised jobs quantise the blocks' projections: all matrices but embedding and head.
bool IsProjection(const TensorInfo& info) {
  return info.shape.size() == 2 && info.name.find(".layers.") != std::string::npos;
}

class ModelWriter {
 public:
  ModelWriter(const WriteModelOptions& options, const weights::TensorSource& source, Deltas deltas)
      : options_(options), source_(source), deltas_(std::move(deltas)) {}

  StatusOr<WrittenModel> Write(const fs::path& path) {
    std::vector<TensorInfo> infos;
    for (const TensorInfo& info : source_.tensors()) {
      if (!IsFloat(info.dtype) || info.name.find("rotary_emb.inv_freq") != std::string::npos) continue;
      TensorInfo& out = infos.emplace_back(info);
      ASSIGN_OR_RETURN(out.dtype, OutputType(options_.dtype, info.dtype));
      stored_.push_back(&info);
    }
    ASSIGN_OR_RETURN(weights::SafetensorsWriter writer,
                     weights::SafetensorsWriter::Create(path, infos, {{"format", "pt"}}));
    WrittenModel written;
    for (size_t i = 0; i < infos.size(); ++i) {
      ASSIGN_OR_RETURN(torch::Tensor tensor, Value(*stored_[i]));
      tensor = Rounded(tensor, infos[i].dtype);
      RETURN_IF_ERROR(writer.Append({static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}));
      written.bytes += static_cast<int64_t>(tensor.nbytes());
    }
    RETURN_IF_ERROR(deltas_.AllUsed());
    ASSIGN_OR_RETURN(written.sha256, writer.Finish());
    written.merged = deltas_.merged();
    return written;
  }

 private:
  StatusOr<torch::Tensor> Value(const TensorInfo& info) {
    ASSIGN_OR_RETURN(torch::Tensor tensor, ReadF32(source_, info));
    if (options_.dequantised && IsProjection(info)) tensor = ops::DequantiseNf4(ops::QuantiseNf4(tensor), torch::kFloat32);
    RETURN_IF_ERROR(deltas_.AddTo(info.name, tensor));
    return tensor;
  }

  const WriteModelOptions& options_;
  const weights::TensorSource& source_;
  Deltas deltas_;
  std::vector<const TensorInfo*> stored_;
};

Status WriteSideFiles(const fs::path& model, const fs::path& out) {
  if (model.extension() == ".gguf") {
    ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(model));
    ASSIGN_OR_RETURN(const std::string config, weights::GgufConfigJson(*file));
    return WriteFileDurably(out / "config.json", config);
  }
  std::error_code error;
  fs::copy_file(model / "config.json", out / "config.json", error);
  if (error) return ErrnoStatus("copy", model / "config.json", error.value());
  for (const char* name : kSideFiles) {
    if (!fs::exists(model / name, error)) continue;
    fs::copy_file(model / name, out / name, error);
    if (error) return ErrnoStatus("copy", model / name, error.value());
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<WrittenModel> WriteModel(const WriteModelOptions& options) {
  std::error_code ignored;
  if (fs::exists(options.out, ignored)) {
    return absl::AlreadyExistsError(StrCat(options.out.string(), " is there already: give a new folder"));
  }
  ASSIGN_OR_RETURN(Deltas deltas, Deltas::Open(options.adapter));
  ASSIGN_OR_RETURN(const auto source, weights::OpenWeights(options.model));
  const fs::path out = fs::absolute(options.out).lexically_normal();
  const fs::path beside = out.parent_path() / ("." + out.filename().string() + ".tmp");
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  StatusOr<WrittenModel> written = ModelWriter(options, *source, std::move(deltas)).Write(beside / "model.safetensors");
  Status status = written.status();
  if (status.ok()) status = WriteSideFiles(options.model, beside);
  if (status.ok() && ::rename(beside.c_str(), out.c_str()) != 0) status = ErrnoStatus("rename to", out, errno);
  if (!status.ok()) {
    fs::remove_all(beside, ignored);
    return status;
  }
  return written;
}

StatusOr<WrittenModel> WriteTrainedModel(const fs::path& model, const fs::path& out,
                                         const std::vector<optim::ParamRef>& parameters) {
  const fs::path beside = out.parent_path() / ("." + out.filename().string() + ".tmp");
  std::error_code ignored;
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  std::vector<weights::TensorData> tensors;
  WrittenModel written;
  for (const optim::ParamRef& p : parameters) {
    tensors.push_back({{p.name, DType::kF32, p.value.sizes().vec()},
                       {static_cast<const std::byte*>(p.value.const_data_ptr()), p.value.nbytes()}});
    written.bytes += static_cast<int64_t>(p.value.nbytes());
  }
  ASSIGN_OR_RETURN(written.sha256, weights::WriteSafetensors(beside / "model.safetensors", tensors, {{"format", "pt"}}));
  RETURN_IF_ERROR(WriteSideFiles(model, beside));
  fs::remove_all(out, ignored);
  if (::rename(beside.c_str(), out.c_str()) != 0) return ErrnoStatus("rename to", out, errno);
  RETURN_IF_ERROR(SyncDirectory(out.parent_path()));
  return written;
}

}  // namespace ft::checkpoint
