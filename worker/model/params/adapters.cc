#include "worker/model/params/adapters.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>

#include "core/base/sha256.h"
#include "worker/model/ops/dora.h"
#include "worker/model/ops/random.h"
#include "worker/model/params/module_pattern.h"
#include "worker/model/params/resident_slot.h"

namespace ft::params {
namespace {

std::string LastPart(const std::string& module) { return module.substr(module.rfind('.') + 1); }

constexpr std::string_view kPeftPrefix = "base_model.model.";

// A whole module name, as adapters' tensors have it, rather than its last part.
bool IsModule(const std::string& target) {
  return target.find('.') != std::string::npos || target == "lm_head";
}

// A number for a name, the same on every machine.
uint64_t NameKey(const std::string& name) {
  const Digest digest = Sha256Of(name);
  uint64_t key = 0;
  std::memcpy(&key, digest.data(), sizeof key);
  return key;
}

// Whether the target alone means the module.
bool Means(const std::string& target, const std::string& module) {
  if (target == "all_linear" || target == "all-linear") return true;
  if (!IsExpression(target)) return EndsWith(module, target);
  const StatusOr<bool> matches = MatchesWhole(target, module);
  return matches.ok() && *matches;
}

bool HasLayer(const std::string& target, const std::vector<LinearModule>& modules) {
  return std::any_of(modules.begin(), modules.end(),
                     [&](const LinearModule& module) { return Means(target, module.name); });
}

// That every expression can be matched against every module, so that none fails in silence later.
Status CheckExpressions(const AdapterOptions& options, const std::vector<LinearModule>& modules) {
  for (const LinearModule& module : modules) {
    RETURN_IF_ERROR(WithContext(options.kind.Check(module.name), "method"));
    for (const std::string& target : options.targets) {
      if (!IsExpression(target)) continue;
      RETURN_IF_ERROR(WithContext(MatchesWhole(target, module.name).status(), "method.targets"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string AdapterModule(std::string_view stored) {
  constexpr std::string_view kDecoder = "language_model.model.", kHead = "language_model.lm_head";
  if (stored.starts_with(kDecoder)) return StrCat("model.language_model.", stored.substr(kDecoder.size()));
  return stored == kHead ? "lm_head" : std::string(stored);
}

Status CheckAdapterOptions(const AdapterOptions& options, const std::vector<LinearModule>& modules) {
  if (options.rank < 1 || options.rank > 1024) {
    return absl::InvalidArgumentError(StrCat("method.rank is ", options.rank, ", must be from 1 to 1024"));
  }
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    return absl::InvalidArgumentError("method.dropout must be at least 0 and below 1");
  }
  RETURN_IF_ERROR(CheckExpressions(options, modules));
  const std::vector<std::string> without_layer = PassedOver(options, modules);
  const std::set<std::string> passed_over(without_layer.begin(), without_layer.end());
  std::set<std::string> known = {"all_linear", "all-linear"};
  for (const LinearModule& module : modules) known.insert(LastPart(module.name));
  for (const std::string& target : options.targets) {
    if (known.contains(target) || passed_over.contains(target) || HasLayer(target, modules)) continue;
    std::string names;
    for (const std::string& name : known) {
      if (IsModule(target) && name.starts_with("all")) continue;
      StrAppend(&names, names.empty() ? "" : ", ", name);
    }
    if (IsExpression(target)) {
      return absl::InvalidArgumentError(
          StrCat("method.targets: the regular expression '", target,
                 "' matches the whole name of no linear layer of this model (they end with ", names, ")"));
    }
    if (IsModule(target)) {
      return absl::InvalidArgumentError(
          StrCat("the adapter changes ", target,
                 ", which is no linear layer of this model's "
                 "blocks (",
                 names, "): adapters of other layers are not read, merge it with PEFT"));
    }
    return absl::InvalidArgumentError(StrCat("method.targets: this model has no linear layer \"", target,
                                             "\" that takes an adapter (it has ", names, ")"));
  }
  return absl::OkStatus();
}

std::vector<std::string> PassedOver(const AdapterOptions& options, const std::vector<LinearModule>& modules) {
  std::vector<std::string> without_layer;
  for (const std::string& target : options.targets) {
    if (!HasLayer(target, modules)) without_layer.push_back(target);
  }
  if (!options.pass_over_targets || without_layer.size() == options.targets.size()) return {};
  return without_layer;
}

std::string AdapterName(const std::string& module, char which) {
  return StrCat(kPeftPrefix, module, ".lora_", std::string(1, which), ".weight");
}

std::string MagnitudeName(const std::string& module) {
  return StrCat(kPeftPrefix, module, ".lora_magnitude_vector");
}

std::string SavedName(std::string_view stored) {
  const size_t dot = stored.rfind('.');
  if (dot == std::string_view::npos) return StrCat(kPeftPrefix, stored);
  return StrCat(kPeftPrefix, AdapterModule(stored.substr(0, dot)), stored.substr(dot));
}

bool IsTarget(const AdapterOptions& options, const std::string& module) {
  return !options.kind.Saves(module) &&
         std::any_of(options.targets.begin(), options.targets.end(),
                     [&](const std::string& target) { return Means(target, module); });
}

std::vector<plan::TrainedTensor> AdapterTensors(const AdapterOptions& options, const LinearModule& module) {
  const int64_t rank = options.kind.RankOf(module.name, options.rank);
  const auto width = static_cast<int>(at::elementSize(options.cast_dtype));
  std::vector<plan::TrainedTensor> tensors = {
      {AdapterName(module.name, 'A'), {rank, module.inputs}, module.unit, width},
      {AdapterName(module.name, 'B'), {module.outputs, rank}, module.unit, width}};
  if (options.kind.use_dora) tensors.push_back({MagnitudeName(module.name), {module.outputs}, module.unit});
  return tensors;
}

ops::LoraSlots MakeAdapter(const AdapterOptions& options, const LinearModule& module,
                           const ops::WeightSlot& weight, ParameterStore& store) {
  const std::string a_name = AdapterName(module.name, 'A');
  const int a = store.Find(a_name), b = store.Find(AdapterName(module.name, 'B'));
  // Drawn on the host, so that a seed means the same numbers on every device.
  torch::Tensor a_RI =
      torch::empty({options.kind.RankOf(module.name, options.rank), module.inputs}, torch::kFloat);
  ops::FillUniform(options.seed, NameKey(a_name), 1.0f / std::sqrt(static_cast<float>(module.inputs)), a_RI);
  store.SetValue(a, a_RI);
  ops::LoraSlots slots{.a_RI = std::make_shared<TrainedSlot>(store, a, options.cast_dtype),
                       .b_OR = std::make_shared<TrainedSlot>(store, b, options.cast_dtype),
                       .scale = options.kind.ScaleOf(module.name, options.rank, options.alpha),
                       .dropout = static_cast<float>(options.dropout),
                       .compute = options.compute};
  if (!options.kind.use_dora) return slots;
  const int magnitude = store.Find(MagnitudeName(module.name));
  slots.magnitude_O = std::make_shared<TrainedSlot>(store, magnitude);
  slots.weight_squares_O = ops::RowSquares(weight);
  store.SetValue(magnitude, slots.weight_squares_O.sqrt());
  return slots;
}

}  // namespace ft::params
