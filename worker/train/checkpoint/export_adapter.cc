#include "worker/train/checkpoint/export_adapter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "worker/model/params/read_slot.h"
#include "worker/train/checkpoint/expert_adapter.h"

namespace ft::checkpoint {
namespace {

std::string LastPart(const std::string& module) { return module.substr(module.rfind('.') + 1); }

// The pattern by last parts of names, where all modules with one agree: a model has thousands of experts, and PEFT tries every key at
// every module.
template <typename T>
std::vector<std::pair<std::string, T>> Shortened(const std::vector<std::string>& modules,
                                                 const std::map<std::string, T>& values, T standard) {
  std::map<std::string, std::set<T>> by_part;
  for (const std::string& module : modules) {
    const auto found = values.find(module);
    by_part[LastPart(module)].insert(found == values.end() ? standard : found->second);
  }
  std::vector<std::pair<std::string, T>> pattern;
  for (const auto& [part, of_part] : by_part) {
    if (of_part.size() == 1 && *of_part.begin() != standard) pattern.emplace_back(part, *of_part.begin());
  }
  for (const auto& [module, value] : values) {
    if (by_part[LastPart(module)].size() > 1 && value != standard) pattern.emplace_back(module, value);
  }
  return pattern;
}

// Ranks and alphas of the modules, by the shortest names that say so.
void SetPatterns(const params::PeftConfig& stored, const std::vector<std::string>& modules,
                 params::PeftConfig& config) {
  std::map<std::string, int> ranks;
  std::map<std::string, double> alphas;
  for (const std::string& module : modules) {
    ranks[module] = stored.kind.RankOf(module, stored.rank);
    alphas[module] = stored.kind.AlphaOf(module, stored.alpha);
  }
  config.kind.rank_pattern = Shortened(modules, ranks, stored.rank);
  config.kind.alpha_pattern = Shortened(modules, alphas, stored.alpha);
}

// What a parameter's rank and alpha must be, so that it is scaled as its modules are.
Status SetParameter(const params::PeftConfig& stored, const std::vector<std::string>& modules,
                    const std::string& name, const FusedParameter& parameter, params::PeftConfig& config) {
  std::optional<double> scale;
  for (const std::string& module : parameter.modules) {
    if (!std::binary_search(modules.begin(), modules.end(), module)) continue;
    const double own = stored.kind.ScaleOf(module, stored.rank, stored.alpha);
    if (scale.value_or(own) != own) {
      return absl::InvalidArgumentError(
          StrCat("experts of ", name,
                 " have ranks or alphas of their own, which experts in one tensor cannot have"));
    }
    scale = own;
  }
  const auto rank = static_cast<double>(parameter.rank);
  const double alpha = *scale * (stored.kind.use_rslora ? std::sqrt(rank) : rank);
  config.target_parameters.push_back(name);
  if (parameter.rank != stored.rank)
    config.kind.rank_pattern.emplace_back(name, static_cast<int>(parameter.rank));
  if (alpha != stored.alpha) config.kind.alpha_pattern.emplace_back(name, alpha);
  return absl::OkStatus();
}

}  // namespace

Status CheckForm(const model::Layout& layout, ExpertForm form) {
  if (form == ExpertForm::kAsStored) return absl::OkStatus();
  const auto has = [&](auto holds) { return std::any_of(layout.begin(), layout.end(), holds); };
  if (!has([](const model::StoredWeight& weight) { return weight.role.expert != model::kNoExpert; }))
    return absl::InvalidArgumentError(
        "--experts has no meaning for this model, which has none: leave it out");
  const bool fused = has([](const model::StoredWeight& weight) { return weight.fused.has_value(); });
  if (form == ExpertForm::kFused && !fused) {
    return absl::InvalidArgumentError(
        "--experts fused is not for this model: its family has no tensor of all experts; leave it out");
  }
  const bool only = has([](const model::StoredWeight& weight) { return weight.fused && weight.fused->only; });
  if (form == ExpertForm::kSplit && only) {
    return absl::InvalidArgumentError(
        "--experts split is not for this model: its family has all experts in one tensor only; leave it out");
  }
  return absl::OkStatus();
}

StatusOr<WrittenAdapter> ExportAdapter(const ExportAdapterOptions& options, const model::Layout& layout) {
  RETURN_IF_ERROR(CheckForm(layout, options.form));
  ASSIGN_OR_RETURN(StoredAdapter adapter, OpenAdapter(options.adapter));
  RETURN_IF_ERROR(WithContext(SplitExperts(layout, adapter), options.adapter.string()));
  if (options.form == ExpertForm::kFused && adapter.config.kind.use_dora)
    return absl::InvalidArgumentError(
        "--experts fused: use_dora is not for experts in one tensor; take --experts split");
  std::vector<NamedTensor> tensors;
  for (const weights::TensorInfo& info : adapter.tensors->tensors()) {
    ASSIGN_OR_RETURN(torch::Tensor value, params::ReadTensor(*adapter.tensors, info));
    tensors.push_back({info.name, std::move(value)});
  }
  FusedAdapter fused;
  if (options.form == ExpertForm::kFused) {
    ASSIGN_OR_RETURN(fused, FuseExperts(layout, std::move(tensors), FusedExperts::kAll));
  } else {
    fused.tensors = std::move(tensors);
    std::sort(fused.tensors.begin(), fused.tensors.end(),
              [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  }
  std::set<std::string> single(adapter.modules.begin(), adapter.modules.end());
  for (const auto& [name, parameter] : fused.parameters) {
    for (const std::string& module : parameter.modules) single.erase(module);
  }
  params::PeftConfig config = adapter.config;
  SetPatterns(adapter.config, {single.begin(), single.end()}, config);
  std::set<std::string> targets;
  for (const std::string& module : single) targets.insert(LastPart(module));
  config.targets.assign(targets.begin(), targets.end());
  for (const auto& [name, parameter] : fused.parameters)
    RETURN_IF_ERROR(SetParameter(adapter.config, adapter.modules, name, parameter, config));
  ASSIGN_OR_RETURN(const TextConfig text, ReadTextConfig(options.adapter));
  return WriteAdapterFolder(options.out, config, text, std::move(fused.tensors));
}

}  // namespace ft::checkpoint
