#include "worker/rank/agreement.h"

#include <torch/types.h>

#include "worker/model/ops/random.h"
#include "worker/model/run/packed_rows.h"
#include "worker/rank/free_memory.h"

namespace ft::rank {
namespace {

constexpr int64_t kPromptLength = 16;
constexpr uint64_t kPromptSeed = 32, kPromptStream = 0x6d65726765;  // Any; the same prompts each time.

std::vector<std::vector<int32_t>> Prompts(int64_t vocabulary) {
  std::vector<std::vector<int32_t>> prompts(kAgreementPrompts);
  uint64_t index = 0;
  for (std::vector<int32_t>& prompt : prompts) {
    for (int64_t t = 0; t < kPromptLength; ++t) {
      const double draw = ops::UniformDraw(kPromptSeed, kPromptStream, index++);
      prompt.push_back(static_cast<int32_t>(draw * static_cast<double>(vocabulary)));
    }
  }
  return prompts;
}

torch::Tensor LogitsOf(const run::LanguageModel& model) {
  const std::vector<std::vector<int32_t>> prompts = Prompts(model.config().vocabulary);
  std::vector<run::RowsSample> samples;
  for (const std::vector<int32_t>& prompt : prompts) samples.push_back({.ids = prompt});
  return model.Logits(run::PackRows(samples, /*seed=*/0, /*step=*/0));
}

}  // namespace

StatusOr<std::optional<Agreement>> CompareMerged(const Trained& trained, params::BaseKind base,
                                                 const std::filesystem::path& merged,
                                                 const checkpoint::WrittenModel& written) {
  const bool exact = written.dtype == "float32";
  // Each weight in float32, and the largest of them once more while it is read.
  const int64_t needed = written.bytes * (exact ? 1 : 2) / 2 * 3;
  if (needed > FreeMemory()) return std::optional<Agreement>();
  torch::Tensor expected;
  bool has_experts = false;
  {
    ASSIGN_OR_RETURN(const auto model, LoadTrained(trained, {.base = base}));
    expected = LogitsOf(*model);
    has_experts = model->config().experts.count > 0;
  }
  ASSIGN_OR_RETURN(const auto model, LoadModel(merged, {}));
  const torch::Tensor found = LogitsOf(*model);
  const double largest = expected.abs().max().item<double>();
  const torch::Tensor rows = (found - expected).abs().amax(1);
  const bool of_middle_row = has_experts && !exact;
  return Agreement{.difference = (of_middle_row ? rows.median() : rows.max()).item<double>() / largest,
                   .of_middle_row = of_middle_row,
                   .limit = exact ? 1e-3 : 2e-2};
}

}  // namespace ft::rank
