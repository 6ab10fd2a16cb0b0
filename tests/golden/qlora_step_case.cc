#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "tests/golden/case_files.h"
#include "tests/golden/quant_cases.h"
#include "worker/model/decoder/family.h"
#include "worker/model/params/peft_config.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/run/language_model.h"
#include "worker/train/optim/adamw.h"
#include "worker/train/optim/clip.h"

namespace ft::golden {
namespace {

namespace fs = std::filesystem;
using torch::Tensor;

struct Recipe {
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0, max_norm = 0;
};

StatusOr<Recipe> ReadRecipe(const fs::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, 1 << 20));
  const nlohmann::json notes = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!notes.is_object()) return absl::InvalidArgumentError(StrCat(file.string(), ": not a JSON object"));
  try {
    const nlohmann::json& optimizer = notes.at("optimizer");
    return Recipe{optimizer.at("lr"),  optimizer.at("betas").at(0),  optimizer.at("betas").at(1),
                  optimizer.at("eps"), optimizer.at("weight_decay"), optimizer.at("grad_clip_max_norm")};
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(StrCat(file.string(), ": ", error.what()));
  }
}

struct Limits {
  double logits = 2e-5;
  double loss = 2e-5;
  double gradient = 1e-4;
  double norm = 1e-4;
  double adapter = 1e-5;
};
constexpr Limits kLimits;

// The case while one of its two bases is trained.
struct QloraRun {
  fs::path folder;
  at::Device device;
  const weights::TensorSource& expected;
  std::string base_file;       // base_4bit.safetensors, or model.safetensors which we quantise.
  std::string losses;          // Expected tensors: "losses", "nearest.losses".
  std::string measure_prefix;  // Prefix of what is printed.
  std::vector<Measure>& measures;
};

StatusOr<std::unique_ptr<run::LanguageModel>> LoadModel(const QloraRun& r) {
  ASSIGN_OR_RETURN(const std::string config_text, ReadFile(r.folder / "config.json", 1 << 20));
  ASSIGN_OR_RETURN(const model::DecoderConfig config, model::ParseConfig(config_text, "config.json"));
  ASSIGN_OR_RETURN(const auto base, weights::OpenWeights(r.folder / r.base_file));
  const fs::path initial = r.folder / "adapter_initial";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(initial / "adapter_config.json", 1 << 20));
  ASSIGN_OR_RETURN(const params::PeftConfig peft, params::ParsePeftConfig(text, "adapter_config.json"));
  ASSIGN_OR_RETURN(auto model, run::LanguageModel::Load(config, *base,
                                                        {.dtype = "fp32",
                                                         .method = "qlora",
                                                         .rank = peft.rank,
                                                         .alpha = peft.alpha,
                                                         .targets = peft.targets,
                                                         .device = r.device}));
  ASSIGN_OR_RETURN(const auto adapter, weights::OpenWeights(initial / "adapter_model.safetensors"));
  RETURN_IF_ERROR(params::ReadValues(*adapter, model->store()));
  return model;
}

// Compares with the tensors `prefix` + parameter name of `source`; the worst difference, `missing` when there
// is none.
StatusOr<double> WorstDifference(const params::ParameterStore& store, const weights::TensorSource& source,
                                 const std::string& prefix) {
  double worst = 0;
  for (int i = 0; i < store.size(); ++i) {
    ASSIGN_OR_RETURN(const Tensor expected, Expected(source, prefix + store.name(i)));
    worst = std::max(worst, LargestDifference(store.value(i), expected, 1));
  }
  return worst;
}

Status CompareFirstGradients(const QloraRun& r, const run::LanguageModel& model) {
  for (int i = 0; i < model.store().size(); ++i) {
    const StatusOr<Tensor> expected = Expected(r.expected, "step1.grad." + model.store().name(i));
    if (!expected.ok()) continue;
    const double error = LargestDifference(model.store().gradient(i), *expected, LargestAbsolute(*expected));
    Record(r.measures, {r.measure_prefix + "grad", error, kLimits.gradient});
  }
  return absl::OkStatus();
}

Status Train(const QloraRun& r, run::LanguageModel& model) {
  ASSIGN_OR_RETURN(const Recipe recipe, ReadRecipe(r.folder / "notes.json"));
  ASSIGN_OR_RETURN(const auto inputs, ReadInputs(r.folder / "input.json"));
  ASSIGN_OR_RETURN(const Tensor losses, Expected(r.expected, r.losses));
  ASSIGN_OR_RETURN(const Tensor norms, Expected(r.expected, "grad_norms_before_clipping"));
  const bool as_stored = r.losses == "losses";
  optim::AdamW optimizer(
      {.beta1 = recipe.beta1, .beta2 = recipe.beta2, .eps = recipe.eps, .weight_decay = recipe.weight_decay},
      model.store(), /*tier=*/nullptr);
  for (int64_t step = 1; step <= losses.numel(); ++step) {
    const auto input = inputs.find(StrCat("step", step));
    if (input == inputs.end()) return absl::InvalidArgumentError(StrCat("input.json has no step", step));
    model.store().ZeroGradients();
    ASSIGN_OR_RETURN(const run::PackedRows rows, run::Pack(input->second.batch, model.config().vocabulary));
    const double count = static_cast<double>(input->second.counted);
    const double loss = model.ForwardBackward(rows, 1 / count) / count;
    Record(r.measures,
           {r.measure_prefix + "loss", std::abs(loss - losses[step - 1].item<double>()), kLimits.loss});
    // The reference gives gradients and norms of the base as stored only.
    if (as_stored && step == 1) RETURN_IF_ERROR(CompareFirstGradients(r, model));
    const double norm = optim::GlobalNorm(model.store());
    const double wanted = norms[step - 1].item<double>();
    if (as_stored)
      Record(r.measures, {r.measure_prefix + "norm", std::abs(norm - wanted) / wanted, kLimits.norm});
    optim::ClipByNorm(model.store(), norm, recipe.max_norm);
    RETURN_IF_ERROR(optimizer.Step(recipe.lr));
  }
  return absl::OkStatus();
}

Status CompareStored(const QloraRun& r) {
  ASSIGN_OR_RETURN(const auto model, LoadModel(r));
  ASSIGN_OR_RETURN(const auto inputs, ReadInputs(r.folder / "input.json"));
  ASSIGN_OR_RETURN(const Tensor logits, Expected(r.expected, "base_logits"));
  if (!inputs.contains("step1")) return absl::InvalidArgumentError("input.json has no step1");
  const GoldenInput& first = inputs.at("step1");
  const Tensor real = first.mask_BT.to(torch::kBool), wanted = logits.index({real});
  ASSIGN_OR_RETURN(const run::PackedRows rows, run::Pack(first.batch, model->config().vocabulary));
  const double error = LargestDifference(model->Logits(rows), wanted, LargestAbsolute(wanted));
  Record(r.measures, {r.measure_prefix + "logits", error, kLimits.logits});
  RETURN_IF_ERROR(Train(r, *model));
  ASSIGN_OR_RETURN(const auto final, OpenExpected(r.folder / "adapter_final" / "adapter_model.safetensors"));
  ASSIGN_OR_RETURN(const double worst, WorstDifference(model->store(), *final, ""));
  Record(r.measures, {r.measure_prefix + "adapter", worst, kLimits.adapter});
  return absl::OkStatus();
}

Status CompareOwnQuantisation(const QloraRun& r) {
  ASSIGN_OR_RETURN(const auto model, LoadModel(r));
  RETURN_IF_ERROR(Train(r, *model));
  ASSIGN_OR_RETURN(const double worst, WorstDifference(model->store(), r.expected, "nearest.adapter_final."));
  Record(r.measures, {"own.adapter", worst, kLimits.adapter});
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::vector<Measure>> QloraStepCase(const fs::path& folder, at::Device device) {
  ASSIGN_OR_RETURN(const auto expected, OpenExpected(folder / "expected.safetensors"));
  std::vector<Measure> measures;
  RETURN_IF_ERROR(
      CompareStored({folder, device, *expected, "base_4bit.safetensors", "losses", "", measures}));
  RETURN_IF_ERROR(CompareOwnQuantisation(
      {folder, device, *expected, "model.safetensors", "nearest.losses", "own.", measures}));
  return measures;
}

}  // namespace ft::golden
