#include "worker/model/run/language_model.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "core/base/file.h"
#include "worker/device/fault.h"
#include "worker/device/staging.h"
#include "worker/model/decoder/family.h"
#include "worker/model/decoder/fused_experts.h"
#include "worker/model/ops/kernel_table.h"
#include "worker/model/ops/loss_head.h"
#include "worker/model/run/load.h"
#include "worker/model/run/saved_modules.h"

namespace ft::run {
namespace {

// How a dtype is computed. Weights of one dimension, norms and biases, are float32 in all of them.
struct PrecisionPolicy {
  at::ScalarType compute;
  at::ScalarType weight_dtype;  // Dtype of frozen weights as they are held.
  at::ScalarType cast_dtype;    // Dtype that trained weights are cast to for products.
  at::ScalarType saved_dtype;   // Dtype of activations that wait for backward.
};

StatusOr<PrecisionPolicy> PrecisionPolicyOf(const std::string& dtype, at::Device device) {
  if (dtype == "fp32") return PrecisionPolicy{at::kFloat, at::kFloat, at::kFloat, at::kFloat};
  if (dtype == "bf16" && ops::KernelsFor(device).multiplies_bf16()) {
    return PrecisionPolicy{at::kBFloat16, at::kBFloat16, at::kBFloat16, at::kBFloat16};
  }
  // Other CPUs multiply float32 in any case: activations rounded before would cost accuracy and gain nothing.
  if (dtype == "bf16") return PrecisionPolicy{at::kFloat, at::kBFloat16, at::kBFloat16, at::kBFloat16};
  // The kernels know no fp16, so it is float32 arithmetic over rounded weights.
  if (dtype == "fp16") return PrecisionPolicy{at::kFloat, at::kHalf, at::kHalf, at::kFloat};
  return absl::UnimplementedError(
      StrCat("model.dtype \"", dtype, "\" is not supported by this version (fp32, bf16, fp16)"));
}

bool IsQuantising(const std::string& method) { return method == "qlora" || method == "int8_lora"; }

bool HasAdapter(const ModelOptions& options) {
  return options.method == "lora" || IsQuantising(options.method) || options.attach_adapter;
}

params::BaseKind BaseOf(const ModelOptions& options) {
  if (options.method == "qlora") return params::BaseKind::kNf4;
  return options.method == "int8_lora" ? params::BaseKind::kInt8 : options.base;
}

params::AdapterOptions AdapterOf(const ModelOptions& options, const PrecisionPolicy& policy) {
  const bool exact = options.adapter_compute == "fp32";
  return {.rank = options.rank,
          .alpha = options.alpha,
          .dropout = options.dropout,
          .kind = options.kind,
          .targets = options.targets,
          .pass_over_targets = options.pass_over_targets,
          .compute = exact ? at::kFloat : policy.compute,
          .cast_dtype = exact ? at::kFloat : policy.cast_dtype,
          .seed = options.seed};
}

// Calls visit(projection, its module) for every projection of the blocks, in order.
template <typename Weights, typename Visit>
void VisitModules(const model::DecoderConfig& config, Weights& weights, const Visit& visit) {
  for (size_t layer = 0; layer < weights.blocks.size(); ++layer) {
    const int unit = model::UnitOf(config, {model::Part::kProjection, static_cast<int64_t>(layer)});
    model::VisitProjections(weights.blocks[layer], [&](auto& projection) {
      visit(projection, params::LinearModule{params::AdapterModule(projection.module), projection.inputs,
                                             projection.outputs, unit});
    });
  }
}

std::string LastPart(const std::string& module) { return module.substr(module.rfind('.') + 1); }

// Names that mean these modules and no others of the model: a module beside the decoder, such as a layer of a vision tower, may have
// the same end, which only whole names tell apart.
std::vector<std::string> NamesOf(const std::vector<params::LinearModule>& adapted,
                                 const std::vector<params::LinearModule>& all) {
  std::map<std::string, size_t> missing;
  for (const params::LinearModule& module : all) ++missing[LastPart(module.name)];
  for (const params::LinearModule& module : adapted) --missing[LastPart(module.name)];
  std::set<std::string> names;
  for (const params::LinearModule& module : adapted) {
    const bool nested = module.name.starts_with("model.language_model.");
    const std::string last = LastPart(module.name);
    names.insert(nested || missing[last] > 0 ? module.name : last);
  }
  return {names.begin(), names.end()};
}

// PEFT adapts experts in one tensor as a parameter, which has neither a magnitude nor a rank of its own.
Status CheckFusedExperts(const model::Layout& layout, const params::AdapterKind& kind) {
  if (!kind.use_dora && kind.rank_pattern.empty() && kind.alpha_pattern.empty()) return absl::OkStatus();
  const bool fused = std::any_of(layout.begin(), layout.end(), [](const model::StoredWeight& weight) {
    return weight.fused.has_value() && weight.fused->only;
  });
  if (!fused) return absl::OkStatus();
  return absl::UnimplementedError(
      "use_dora, rank_pattern and alpha_pattern are not for models whose files have all experts in one "
      "tensor, as "
      "this one: leave them out");
}

}  // namespace

StatusOr<std::unique_ptr<LanguageModel>> LanguageModel::LoadFolder(const std::filesystem::path& folder,
                                                                   const ModelOptions& options) {
  const std::filesystem::path config_file = folder / "config.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(config_file, uint64_t{1} << 20));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::ParseConfig(text, config_file.string()));
  ASSIGN_OR_RETURN(const std::unique_ptr<weights::TensorSource> source, weights::OpenWeights(folder));
  StatusOr<std::unique_ptr<LanguageModel>> loaded = Load(config, *source, options);
  if (!loaded.ok()) return WithContext(loaded.status(), folder.string());
  return loaded;
}

StatusOr<std::unique_ptr<LanguageModel>> LanguageModel::Load(const model::DecoderConfig& config,
                                                             const weights::TensorSource& source,
                                                             const ModelOptions& options) {
  std::unique_ptr<LanguageModel> loaded(new LanguageModel(config, options));
  try {
    RETURN_IF_ERROR(loaded->Build(source));
  } catch (const params::UnitUnavailable& error) {
    return error.status();
  } catch (const std::exception& error) {
    if (device::FaultOf(error)) throw;  // Whoever guards the rank's work knows what to make of it.
    // Not RESOURCE_EXHAUSTED: that is a disk on which weights rest, and which is full.
    return absl::UnknownError(StrCat("loading the model failed: ", error.what()));
  }
  return loaded;
}

Status LanguageModel::Build(const weights::TensorSource& files) {
  ASSIGN_OR_RETURN(const PrecisionPolicy policy, PrecisionPolicyOf(options_.dtype, options_.device));
  const std::string& method = options_.method;
  if (method != "none" && method != "full" && method != "lora" && !IsQuantising(method)) {
    return absl::UnimplementedError(StrCat(
        "method.kind \"", method, "\" is not supported by this version (qlora, int8_lora, lora, full)"));
  }
  const model::Layout layout = model::LayoutOf(config_);
  ASSIGN_OR_RETURN(const auto split, model::SplitExperts(layout, files));
  const weights::TensorSource& source = split == nullptr ? files : *split;
  weights_ = model::MakeStructure(config_, layout);
  const params::AdapterOptions adapter = AdapterOf(options_, policy);
  std::vector<plan::TrainedTensor> trained;
  const auto train = [&](const model::StoredWeight& weight, std::string name) {
    const bool exact = weight.shape.size() == 1 || weight.router();
    const auto width = static_cast<int>(at::elementSize(exact ? at::kFloat : policy.cast_dtype));
    trained.push_back({std::move(name), weight.shape, model::UnitOf(config_, weight.role), width});
  };
  if (method == "full") {
    for (const model::StoredWeight& weight : layout) {
      if (model::IsTrained(weight.role.part)) train(weight, weight.name);
    }
  }
  if (HasAdapter(options_)) {
    ASSIGN_OR_RETURN(const std::vector<params::LinearModule> modules, Adapted(adapter));
    for (const params::LinearModule& module : modules) {
      for (plan::TrainedTensor& tensor : params::AdapterTensors(adapter, module))
        trained.push_back(std::move(tensor));
    }
    RETURN_IF_ERROR(CheckFusedExperts(layout, adapter.kind));
    RETURN_IF_ERROR(CheckSavedModules(config_, layout, adapter.kind));
    for (const model::StoredWeight& weight : layout) {
      if (IsSaved(weight, adapter.kind)) train(weight, params::SavedName(weight.name));
    }
  }
  params::StoreAndUnits made =
      params::MakeStoreAndUnits(options_.division, plan::SliceTable::Of(std::move(trained)),
                                {.copy_type = policy.cast_dtype,
                                 .device = options_.device,
                                 .blocks = static_cast<int>(config_.layers)});
  store_ = std::move(made.store);
  units_ = std::move(made.units);
  shared_units_ = made.shared;
  LoadOptions load{policy.weight_dtype, policy.cast_dtype, BaseOf(options_), options_.device,
                   options_.base_cache};
  if (shared_units_ != nullptr && shared_units_->brings_frozen()) {
    load.unit_read = [this](int unit, const std::vector<ops::SlotPtr>& frozen) {
      shared_units_->Divide(unit, frozen);
    };
  }
  RETURN_IF_ERROR(LoadDecoder(config_, layout, source, load, *store_, weights_));
  if (HasAdapter(options_)) AttachAdapters(adapter);
  ValuesChanged();
  remarks_.insert(remarks_.end(), source.remarks().begin(), source.remarks().end());
  if (const std::vector<std::string> names = LeftOut(config_, layout, source); !names.empty()) {
    remarks_.push_back(StrCat("the model that config.json describes has no place for ", names.front(),
                              names.size() > 1 ? StrCat(" and ", names.size() - 1, " other tensors") : "",
                              ": left out"));
  }
  runner_ = std::make_unique<BlockRunner>(
      config_, weights_, *units_,
      RunnerOptions{policy.compute, policy.saved_dtype, options_.checkpointing, options_.checkpointed_blocks,
                    options_.device, options_.before_backward});
  return absl::OkStatus();
}

StatusOr<std::vector<params::LinearModule>> LanguageModel::Adapted(const params::AdapterOptions& adapter) {
  std::vector<params::LinearModule> modules;
  VisitModules(config_, weights_,
               [&](const model::Projection& projection, const params::LinearModule& module) {
                 if (projection.adapted) modules.push_back(module);
               });
  RETURN_IF_ERROR(params::CheckAdapterOptions(adapter, modules));
  for (const std::string& target : params::PassedOver(adapter, modules)) {
    remarks_.push_back(StrCat("method.targets: this model has no linear layer \"", target,
                              "\" that takes an adapter: passed over"));
  }
  std::vector<params::LinearModule> adapted = modules;
  std::erase_if(adapted,
                [&](const params::LinearModule& module) { return !params::IsTarget(adapter, module.name); });
  adapted_ = NamesOf(adapted, modules);
  return adapted;
}

void LanguageModel::ValuesChanged() {
  store_->ValuesChanged();
  units_->TrainedChanged();
}

void LanguageModel::AttachAdapters(const params::AdapterOptions& adapter) {
  VisitModules(config_, weights_, [&](model::Projection& projection, const params::LinearModule& module) {
    if (!projection.adapted || !params::IsTarget(adapter, module.name)) return;
    std::optional<params::UnitLease> lease;
    if (adapter.kind.use_dora) lease.emplace(*units_, module.unit);  // Magnitudes begin with the weight's.
    projection.adapter = params::MakeAdapter(adapter, module, *projection.weight, *store_);
  });
}

double LanguageModel::ForwardBackward(const PackedRows& rows, double gradient_scale,
                                      params::GradientSink& sink) {
  std::shared_ptr<const ops::DropoutRows> dropout;
  if (options_.dropout > 0)
    dropout = ops::MakeDropoutRows(rows.seed, rows.step, rows.sample_N, rows.position_N, options_.device);
  return runner_->ForwardBackward(rows, std::move(dropout), gradient_scale, sink);
}

torch::Tensor LanguageModel::Logits(const PackedRows& rows, model::Mode mode) const {
  return device::Download(runner_->Logits(runner_->Hidden(rows, nullptr, mode)));
}

}  // namespace ft::run
