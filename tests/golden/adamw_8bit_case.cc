#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "tests/golden/case_files.h"
#include "tests/golden/quant_cases.h"
#include "worker/model/params/store_fixture.h"
#include "worker/train/optim/optimizer.h"

namespace ft::golden {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using torch::Tensor;

// A run of one of bitsandbytes' optimizers, and ours that is compared with it.
struct Run {
  const char* name;      // Before its tensors' names.
  const char* settings;  // In notes.json.
  const char* kind;      // Ours.
  double weights;        // Largest difference.
  bool is_definition;    // Whether moments are compared too.
};
constexpr Run kRuns[] = {
    {"AdamW8bit_nearest", "AdamW8bit", "adamw_8bit", 1e-6, true},
    {"AdamW8bit", "AdamW8bit", "adamw_8bit", 2e-4, false},
    {"PagedAdamW8bit", "PagedAdamW8bit", "adamw_8bit", 2e-4, false},
    {"AdamW32bit", "AdamW32bit", "adamw", 1e-6, true},
    {"PagedAdamW32bit", "PagedAdamW32bit", "paged_adamw", 1e-6, true},
};
constexpr int kSteps = 3;
constexpr double kCodes = 1e-3;   // Share of those that may be others.
constexpr double kMaxima = 1e-4;  // Of the largest.
constexpr double kMoments = 1e-6;

StatusOr<recipe::OptimizerSpec> SpecOf(const fs::path& file, const Run& run) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, 1 << 20));
  const json notes = json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    const json& settings = notes.at(run.settings);
    return recipe::OptimizerSpec{.kind = run.kind,
                                 .lr = settings.at("lr"),
                                 .beta1 = settings.at("betas").at(0),
                                 .beta2 = settings.at("betas").at(1),
                                 .eps = settings.at("eps"),
                                 .weight_decay = settings.at("weight_decay")};
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(StrCat(file.string(), ": ", error.what()));
  }
}

// Where the run gives the tensor; else nothing is compared.
void CompareWeights(const Run& run, const weights::TensorSource& source, const std::string& name,
                    const Tensor& actual, std::vector<Measure>& measures) {
  const StatusOr<Tensor> expected = Expected(source, StrCat(run.name, ".", name));
  if (expected.ok())
    Record(measures, {StrCat(run.name, ".weights"), LargestDifference(actual, *expected, 1), run.weights});
}

// An array of the large tensor's state.
void CompareArray(const Run& run, const weights::TensorSource& source, const plan::StateArray& array,
                  const Tensor& items, std::vector<Measure>& measures) {
  const bool is_absmax = array.name.ends_with(".absmax"), is_second = array.name.starts_with(".exp_avg_sq");
  const std::string name = StrCat(run.name, is_absmax ? ".absmax" : ".state", is_second ? "2" : "1");
  if (array.type == plan::StateType::kUint8) {
    const StatusOr<Tensor> codes = ExpectedCodes(source, name);
    const double others =
        codes.ok() ? at::ne(items, codes->flatten()).to(torch::kDouble).mean().item<double>() : 1;
    return Record(measures, {StrCat(run.name, ".codes"), others, kCodes});
  }
  const StatusOr<Tensor> expected = Expected(source, name);
  if (!expected.ok()) return;
  if (is_absmax) {
    const double error = LargestDifference(items, *expected, LargestAbsolute(*expected));
    Record(measures, {StrCat(run.name, ".absmax"), error, kMaxima});
  } else {
    Record(measures,
           {StrCat(run.name, ".moments"), LargestDifference(items, expected->flatten(), 1), kMoments});
  }
}

Status CompareState(const Run& run, const weights::TensorSource& source, const optim::Optimizer& optimizer,
                    const plan::TensorRange& large, std::vector<Measure>& measures) {
  if (!run.is_definition) return absl::OkStatus();
  for (const optim::StateTensor& state : optimizer.state()) {
    if (!state.array.IsOf(large.elements)) continue;
    const int64_t begin = state.layout.OfTensor(0).begin;
    ASSIGN_OR_RETURN(const Tensor items,
                     optimizer.ReadItems(state, {begin, begin + state.array.Items(large.elements)}));
    CompareArray(run, source, state.array, items.cpu(), measures);
  }
  return absl::OkStatus();
}

Status CompareRun(const Run& run, const fs::path& folder, const weights::TensorSource& source,
                  at::Device device, std::vector<Measure>& measures) {
  ASSIGN_OR_RETURN(const recipe::OptimizerSpec spec, SpecOf(folder / "notes.json", run));
  ASSIGN_OR_RETURN(const Tensor param, Expected(source, "param0"));
  ASSIGN_OR_RETURN(const Tensor small, Expected(source, "small0"));
  const auto store = params::MakeStore({{"param", param, {}}, {"small", small, {}}}, device);
  const auto optimizer = optim::Optimizer::Of(spec, *store);
  for (int step = 1; step <= kSteps; ++step) {
    store->ZeroGradients();
    for (const auto& [index, prefix] : {std::pair{0, "grad"}, std::pair{1, "smallgrad"}}) {
      ASSIGN_OR_RETURN(const Tensor gradient, Expected(source, StrCat(prefix, step - 1)));
      store->Add(index, gradient.to(device));
    }
    RETURN_IF_ERROR(optimizer->Step(spec.lr));
    for (int i = 0; i < store->size(); ++i)
      CompareWeights(run, source, StrCat(store->name(i), ".step", step), store->value(i), measures);
  }
  return CompareState(run, source, *optimizer, store->range(0), measures);
}

}  // namespace

StatusOr<std::vector<Measure>> AdamW8bitCase(const fs::path& folder, at::Device device) {
  ASSIGN_OR_RETURN(const auto source, OpenExpected(folder / "adamw.safetensors"));
  std::vector<Measure> measures;
  for (const Run& run : kRuns) RETURN_IF_ERROR(CompareRun(run, folder, *source, device, measures));
  return measures;
}

}  // namespace ft::golden
