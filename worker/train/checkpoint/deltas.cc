#include "worker/train/checkpoint/deltas.h"

#include <utility>

#include "worker/model/decoder/family.h"
#include "worker/model/params/adapters.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/run/saved_modules.h"
#include "worker/model/weights/tensor_table.h"
#include "worker/train/checkpoint/expert_adapter.h"

namespace ft::checkpoint {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";

Status DoesNotFit(const std::string& stored) {
  return absl::InvalidArgumentError(
      StrCat("the adapter's shapes do not fit ", stored, ": it belongs to another model"));
}

// Without ".weight".
std::string ModuleOf(std::string_view stored) {
  return params::AdapterModule(stored.substr(0, stored.rfind('.')));
}

}  // namespace

StatusOr<Deltas> Deltas::Open(const std::filesystem::path& dir, const model::Layout& layout) {
  Deltas deltas;
  if (dir.empty()) return deltas;
  ASSIGN_OR_RETURN(StoredAdapter adapter, OpenAdapter(dir));
  RETURN_IF_ERROR(WithContext(SplitExperts(layout, adapter), dir.string()));
  deltas.config_ = std::move(adapter.config);
  deltas.tensors_ = std::move(adapter.tensors);
  for (const std::string& module : adapter.modules) deltas.unused_.insert(module);
  for (const weights::TensorInfo& info : deltas.tensors_->tensors()) {
    if (info.name.ends_with(".weight") || info.name.ends_with(".bias")) {
      if (info.name.find(".lora_") == std::string::npos) deltas.unused_.insert(info.name);
    }
  }
  return deltas;
}

StatusOr<torch::Tensor> Deltas::Read(const std::string& name) const {
  return params::ReadTensor(*tensors_, *tensors_->Find(name));  // OpenAdapter has seen it.
}

Status Deltas::AddTo(const std::string& stored, torch::Tensor& weight) {
  if (const std::string name = params::SavedName(stored); unused_.erase(name) > 0) {
    ++merged_;
    return Replace(name, stored, weight);
  }
  // Its second copy, where files have one, goes with it.
  if (tied_.has_value() && model::IsHeadCopy(*tied_, stored))
    return Replace(params::SavedName(model::LayoutOf(*tied_).front().name), stored, weight);
  if (!stored.ends_with(".weight") || unused_.erase(ModuleOf(stored)) == 0) return absl::OkStatus();
  return AddPair(ModuleOf(stored), stored, weight);
}

Status Deltas::Replace(const std::string& name, const std::string& stored, torch::Tensor& weight) {
  if (tensors_->Find(name)->shape != weight.sizes().vec()) return DoesNotFit(stored);
  ASSIGN_OR_RETURN(weight, Read(name));
  return absl::OkStatus();
}

Status Deltas::AddPair(const std::string& module, const std::string& stored, torch::Tensor& weight) {
  const std::string a_name = params::AdapterName(module, 'A'), b_name = params::AdapterName(module, 'B');
  const std::vector<int64_t>&a = tensors_->Find(a_name)->shape, &b = tensors_->Find(b_name)->shape;
  if (weight.dim() != 2 || a.size() != 2 || b.size() != 2 || a[1] != weight.size(1) ||
      b[0] != weight.size(0) || a[0] != b[1]) {
    return DoesNotFit(stored);
  }
  ASSIGN_OR_RETURN(const torch::Tensor lora_a, Read(a_name));
  ASSIGN_OR_RETURN(const torch::Tensor lora_b, Read(b_name));
  weight.add_(torch::matmul(lora_b, lora_a), config_.kind.ScaleOf(module, config_.rank, config_.alpha));
  ++merged_;
  if (!config_.kind.use_dora) return absl::OkStatus();
  const std::string magnitudes = params::MagnitudeName(module);
  if (tensors_->Find(magnitudes)->elements() != static_cast<uint64_t>(weight.size(0)))
    return DoesNotFit(stored);
  ASSIGN_OR_RETURN(const torch::Tensor magnitude, Read(magnitudes));
  const torch::Tensor lengths = weight.square().sum(1).clamp_min(1e-30).sqrt();
  weight.mul_((magnitude.view({-1}) / lengths).unsqueeze(1));
  return absl::OkStatus();
}

Status Deltas::CheckHead(const nlohmann::json& config) const {
  const auto tied = config.find("tie_word_embeddings");
  if (!unused_.contains("lm_head") || tied == config.end() || *tied != true) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "the adapter changes lm_head, which this model has in common with its embedding "
      "(tie_word_embeddings) and which cannot be changed alone: merge it with PEFT");
}

Status Deltas::CheckSaved(std::string_view config_text, std::string_view file) {
  if (config_.kind.modules_to_save.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(model::DecoderConfig config, model::ParseConfig(config_text, file));
  const model::Layout layout = model::LayoutOf(config);
  RETURN_IF_ERROR(run::CheckSavedModules(config, layout, config_.kind));
  if (config.tied_head && run::IsSaved(layout.front(), config_.kind)) tied_ = std::move(config);
  return absl::OkStatus();
}

Status Deltas::AllUsed() const {
  if (unused_.empty()) return absl::OkStatus();
  const std::string& first = *unused_.begin();
  const std::string weight = first.starts_with(kPrefix) ? first.substr(kPrefix.size()) : first + ".weight";
  return absl::InvalidArgumentError(
      StrCat("the model has no weight ", weight, " that the adapter changes: it belongs to another model"));
}

}  // namespace ft::checkpoint
