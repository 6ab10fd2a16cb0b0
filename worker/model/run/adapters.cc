#include "worker/model/run/adapters.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <set>

#include "core/base/sha256.h"
#include "worker/model/ops/random.h"

namespace ft::run {
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

std::shared_ptr<const ops::WeightSlot> AddParameter(const std::string& name, torch::Tensor value,
                                                    at::ScalarType rounded_to, TrainedSlots& trained) {
  trained.push_back(std::make_shared<ops::ResidentSlot>(name, std::move(value), /*trainable=*/true, rounded_to));
  return trained.back();
}

void Attach(const AdapterOptions& options, model::Projection& projection, TrainedSlots& trained) {
  const std::string a_name = AdapterName(projection.module, 'A');
  torch::Tensor a_RI = torch::empty({options.rank, projection.inputs}, torch::kFloat);
  ops::FillUniform(options.seed, NameKey(a_name), 1.0f / std::sqrt(static_cast<float>(projection.inputs)),
                   a_RI);
  projection.adapter = ops::LoraSlots{
      .a_RI = AddParameter(a_name, a_RI, options.rounded_to, trained),
      .b_OR = AddParameter(AdapterName(projection.module, 'B'),
                           torch::zeros({projection.outputs, options.rank}, torch::kFloat), options.rounded_to, trained),
      .scale = options.alpha / options.rank,
      .dropout = static_cast<float>(options.dropout),
      .compute = options.compute};
}

Status CheckOptions(const AdapterOptions& options, const model::DecoderWeights& weights) {
  if (options.rank < 1 || options.rank > 1024) {
    return absl::InvalidArgumentError(StrCat("method.rank is ", options.rank, ", must be from 1 to 1024"));
  }
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    return absl::InvalidArgumentError("method.dropout must be at least 0 and below 1");
  }
  std::set<std::string> known = {"all_linear", "all-linear"}, modules;
  for (const model::BlockWeights& block : weights.blocks) {
    for (const model::Projection& projection : block.projection) {
      known.insert(LastPart(projection.module));
      modules.insert(projection.module);
    }
  }
  for (const std::string& target : options.targets) {
    if (known.contains(target) || modules.contains(target)) continue;
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

}  // namespace

std::string AdapterName(const std::string& module, char which) {
  return StrCat("base_model.model.", module, ".lora_", std::string(1, which), ".weight");
}

Status AttachAdapters(const AdapterOptions& options, model::DecoderWeights& weights, TrainedSlots& trained) {
  RETURN_IF_ERROR(CheckOptions(options, weights));
  const std::set<std::string> targets(options.targets.begin(), options.targets.end());
  const bool all = targets.contains("all_linear") || targets.contains("all-linear");
  for (model::BlockWeights& block : weights.blocks) {
    for (model::Projection& projection : block.projection) {
      const bool named = targets.contains(LastPart(projection.module)) || targets.contains(projection.module);
      if (all || named) Attach(options, projection, trained);
    }
  }
  return absl::OkStatus();
}

}  // namespace ft::run
