#include "worker/model/run/language_model.h"

#include <algorithm>
#include <map>

#include "core/base/check.h"
#include "core/base/file.h"
#include "worker/model/decoder/family.h"
#include "worker/model/ops/loss_head.h"
#include "worker/model/ops/product.h"
#include "worker/model/run/adapters.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::run {
namespace {

// How a dtype is computed on CPU. Weights of one dimension, norms and biases, are float32 in all of them.
struct Arithmetic {
  at::ScalarType compute;
  at::ScalarType stored;      // Of frozen weights.
  at::ScalarType rounded_to;  // Of trained weights when they are used in products of the compute type.
  at::ScalarType saved_as;    // Of activations that wait for backward.
};

StatusOr<Arithmetic> ArithmeticOf(const std::string& dtype) {
  if (dtype == "fp32") return Arithmetic{at::kFloat, at::kFloat, at::kFloat, at::kFloat};
  if (dtype == "bf16" && ops::MultipliesBf16()) {
    return Arithmetic{at::kBFloat16, at::kBFloat16, at::kFloat, at::kBFloat16};
  }
  // Other CPUs multiply float32 in any case: activations rounded before would cost accuracy and gain nothing.
  if (dtype == "bf16") return Arithmetic{at::kFloat, at::kBFloat16, at::kBFloat16, at::kBFloat16};
  // CPUs have no fast fp16 products, so fp16 is float32 arithmetic over rounded weights.
  if (dtype == "fp16") return Arithmetic{at::kFloat, at::kHalf, at::kHalf, at::kFloat};
  return absl::UnimplementedError(
      StrCat("model.dtype \"", dtype, "\" is not supported by this version (fp32, bf16, fp16)"));
}

PackedRows PackOrDie(const MicroBatch& batch, const model::DecoderConfig& config) {
  StatusOr<PackedRows> rows = Pack(batch, config.vocabulary);
  FT_CHECK(rows.ok()) << Message(rows.status());
  return *std::move(rows);
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
  } catch (const std::exception& error) {
    return absl::ResourceExhaustedError(StrCat("loading the model failed: ", error.what()));
  }
  return loaded;
}

Status LanguageModel::Build(const weights::TensorSource& source) {
  ASSIGN_OR_RETURN(const Arithmetic arithmetic, ArithmeticOf(options_.dtype));
  const std::string& method = options_.method;
  if (method != "none" && method != "full" && method != "lora" && method != "qlora") {
    return absl::UnimplementedError(
        StrCat("method.kind \"", method, "\" is not supported by this version (qlora, lora, full)"));
  }
  const LoadOptions load{arithmetic.stored, arithmetic.rounded_to, method == "full",
                         method == "qlora" || options_.nf4_base};
  ASSIGN_OR_RETURN(weights_, LoadDecoder(config_, source, load, trained_));
  remarks_ = source.remarks();
  if (const std::vector<std::string> names = LeftOut(config_, source); !names.empty()) {
    remarks_.push_back(StrCat("the model that config.json describes has no place for ", names.front(),
                              names.size() > 1 ? StrCat(" and ", names.size() - 1, " other tensors") : "",
                              ": left out"));
  }
  if (method == "lora" || method == "qlora" || options_.attach_adapter) {
    const bool exact_adapter = options_.adapter_compute == "fp32";
    const AdapterOptions adapter{.rank = options_.rank,
                                 .alpha = options_.alpha,
                                 .dropout = options_.dropout,
                                 .targets = options_.targets,
                                 .compute = exact_adapter ? at::kFloat : arithmetic.compute,
                                 .rounded_to = exact_adapter ? at::kFloat : arithmetic.rounded_to,
                                 .seed = options_.seed};
    RETURN_IF_ERROR(AttachAdapters(adapter, weights_, trained_));
  }
  std::sort(trained_.begin(), trained_.end(),
            [](const auto& a, const auto& b) { return a->name() < b->name(); });
  LayOutGradients();
  runner_ = std::make_unique<BlockRunner>(
      config_, weights_,
      RunnerOptions{arithmetic.compute, arithmetic.saved_as, options_.checkpointing, options_.checkpointed_blocks});
  return absl::OkStatus();
}

void LanguageModel::LayOutGradients() {
  const auto padded = [](int64_t count) {
    return (count + kGradientAlignment - 1) / kGradientAlignment * kGradientAlignment;
  };
  int64_t total = 0;
  for (const auto& slot : trained_) total += padded(slot->value().numel());
  gradients_ = torch::zeros({total}, torch::kFloat);
  int64_t begin = 0;
  for (const auto& slot : trained_) {
    const torch::Tensor value = slot->value();
    parameters_.push_back({slot->name(), value, gradients_.narrow(0, begin, value.numel()).view(value.sizes())});
    begin += padded(value.numel());
  }
}

void LanguageModel::ZeroGradients() { gradients_.zero_(); }

void LanguageModel::ParametersChanged() {
  for (const auto& slot : trained_) slot->ValueChanged();
}

Status LanguageModel::LoadParameters(const weights::TensorSource& source) {
  std::map<std::string, torch::Tensor> values;
  for (const params::ParamRef& parameter : parameters_) {
    const weights::TensorInfo* info = source.Find(parameter.name);
    if (info == nullptr) return absl::InvalidArgumentError(StrCat("there is no tensor ", parameter.name));
    if (info->shape != parameter.value.sizes().vec()) {
      return absl::InvalidArgumentError(StrCat("tensor ", info->name, " has shape ",
                                               weights::ShapeText(info->shape), ", the model wants ",
                                               weights::ShapeText(parameter.value.sizes().vec())));
    }
    ASSIGN_OR_RETURN(values[parameter.name], ReadTensor(source, *info));
  }
  for (const weights::TensorInfo& info : source.tensors()) {
    if (!values.contains(info.name)) {
      return absl::InvalidArgumentError(StrCat("tensor ", info.name, " has no place in this model"));
    }
  }
  for (params::ParamRef& parameter : parameters_) parameter.value.copy_(values[parameter.name]);
  ParametersChanged();
  return absl::OkStatus();
}

Status LanguageModel::Check(const MicroBatch& batch) const {
  return Pack(batch, config_.vocabulary).status();
}

double LanguageModel::ForwardBackward(const MicroBatch& batch, double gradient_scale) {
  const PackedRows rows = PackOrDie(batch, config_);
  std::shared_ptr<const ops::DropoutRows> dropout;
  if (options_.dropout > 0)
    dropout = ops::MakeDropoutRows(batch.seed, batch.step, rows.sample_N, rows.position_N);
  const auto add = [&](const ops::WeightSlot& slot, const torch::Tensor& gradient) {
    const auto at =
        std::lower_bound(parameters_.begin(), parameters_.end(), slot.name(),
                         [](const params::ParamRef& p, const std::string& name) { return p.name < name; });
    FT_CHECK(at != parameters_.end() && at->name == slot.name()) << slot.name();
    at->gradient.add_(gradient);
  };
  return runner_->ForwardBackward(rows, std::move(dropout), gradient_scale, add);
}

double LanguageModel::Loss(const MicroBatch& batch) const { return runner_->Loss(PackOrDie(batch, config_)); }

torch::Tensor LanguageModel::Logits(const MicroBatch& batch) const {
  const PackedRows rows = PackOrDie(batch, config_);
  const torch::Tensor logits_NV = ops::Logits(runner_->Hidden(rows, nullptr), *weights_.head_VC);
  torch::Tensor logits_BTV =
      torch::zeros({batch.ids_BT.size(0), batch.ids_BT.size(1), config_.vocabulary}, torch::kFloat);
  for (size_t b = 0; b < rows.segments.size(); ++b) {
    const ops::AttentionSegment& segment = rows.segments[b];
    logits_BTV[static_cast<int64_t>(b)]
        .narrow(0, 0, segment.queries)
        .copy_(logits_NV.narrow(0, segment.first_query, segment.queries));
  }
  return logits_BTV;
}

}  // namespace ft::run
