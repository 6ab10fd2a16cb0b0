#include "worker/model/params/adapters.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>

#include "core/base/sha256.h"
#include "worker/model/ops/random.h"
#include "worker/model/params/resident_slot.h"

namespace ft::params {
namespace {

std::string LastPart(const std::string& module) { return module.substr(module.rfind('.') + 1); }

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

}  // namespace

Status CheckAdapterOptions(const AdapterOptions& options, const std::vector<LinearModule>& modules) {
  if (options.rank < 1 || options.rank > 1024) {
    return absl::InvalidArgumentError(StrCat("method.rank is ", options.rank, ", must be from 1 to 1024"));
  }
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    return absl::InvalidArgumentError("method.dropout must be at least 0 and below 1");
  }
  std::set<std::string> known = {"all_linear", "all-linear"}, whole;
  for (const LinearModule& module : modules) {
    known.insert(LastPart(module.name));
    whole.insert(module.name);
  }
  for (const std::string& target : options.targets) {
    if (known.contains(target) || whole.contains(target)) continue;
    std::string names;
    for (const std::string& name : known) {
      if (IsModule(target) && name.starts_with("all")) continue;
      StrAppend(&names, names.empty() ? "" : ", ", name);
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

std::string AdapterName(const std::string& module, char which) {
  return StrCat("base_model.model.", module, ".lora_", std::string(1, which), ".weight");
}

bool IsTarget(const AdapterOptions& options, const std::string& module) {
  return std::any_of(options.targets.begin(), options.targets.end(), [&](const std::string& target) {
    return target == "all_linear" || target == "all-linear" || target == LastPart(module) || target == module;
  });
}

std::vector<plan::TrainedTensor> AdapterTensors(const AdapterOptions& options, const LinearModule& module) {
  return {{AdapterName(module.name, 'A'), {options.rank, module.inputs}, module.unit},
          {AdapterName(module.name, 'B'), {module.outputs, options.rank}, module.unit}};
}

ops::LoraSlots MakeAdapter(const AdapterOptions& options, const LinearModule& module, ParameterStore& store) {
  const std::string a_name = AdapterName(module.name, 'A');
  const int a = store.Find(a_name), b = store.Find(AdapterName(module.name, 'B'));
  // Drawn on the host, so that a seed means the same numbers on every device.
  torch::Tensor a_RI = torch::empty({options.rank, module.inputs}, torch::kFloat);
  ops::FillUniform(options.seed, NameKey(a_name), 1.0f / std::sqrt(static_cast<float>(module.inputs)), a_RI);
  store.value(a).copy_(a_RI);
  return {.a_RI = std::make_shared<TrainedSlot>(store, a, options.cast_dtype),
          .b_OR = std::make_shared<TrainedSlot>(store, b, options.cast_dtype),
          .scale = options.alpha / options.rank,
          .dropout = static_cast<float>(options.dropout),
          .compute = options.compute};
}

}  // namespace ft::params
