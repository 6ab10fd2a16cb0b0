#include "worker/model/generate/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "worker/device/staging.h"
#include "worker/model/decoder/rope_angles.h"
#include "worker/model/ops/loss_head.h"
#include "worker/model/ops/random.h"
#include "worker/model/ops/row_gemm.h"

namespace ft::generate {
namespace {

constexpr uint64_t kSamplingStream =
    0x73616d706c65;  // Keeps these draws apart from all others of the same seed.

Status CheckPrompt(const run::LanguageModel& model, std::span<const int32_t> prompt) {
  if (prompt.empty()) return absl::InvalidArgumentError("generation: the prompt has no tokens");
  for (int32_t id : prompt) {
    if (id < 0 || id >= model.config().vocabulary) {
      return absl::InvalidArgumentError(StrCat(
          "generation: token id ", id, " is outside the model's vocabulary of ", model.config().vocabulary));
    }
  }
  return absl::OkStatus();
}

// The sequence so far and the cache of its first `computed` tokens.
class Session {
 public:
  Session(const run::LanguageModel& model, std::span<const int32_t> prompt)
      : model_(model), ids_(prompt.begin(), prompt.end()) {}

  void Append(int32_t token) { ids_.push_back(token); }
  std::span<const int64_t> ids() const { return ids_; }

  // Logits behind the last token, in host memory.
  torch::Tensor Next() {
    const ops::FewRowsScope few_rows;
    const int64_t length = static_cast<int64_t>(ids_.size());
    if (computed_ == 0 || model::AnglesDiffer(model_.config(), computed_, length, model::Mode::kInference)) {
      cache_.assign(static_cast<size_t>(model_.config().layers), {});
      computed_ = 0;
    }
    const int64_t fresh = length - computed_;
    run::PackedRows rows;
    rows.ids_N = torch::tensor(std::vector<int64_t>(ids_.begin() + computed_, ids_.end()), torch::kInt64);
    rows.position_N.resize(static_cast<size_t>(fresh));
    std::iota(rows.position_N.begin(), rows.position_N.end(), computed_);
    rows.segments = {{0, fresh, 0, length}};
    rows.rope_lengths = {length};
    const torch::Tensor hidden_NC = model_.runner().Hidden(rows, &cache_);
    computed_ = length;
    return device::Download(model_.runner().Logits(hidden_NC.narrow(0, fresh - 1, 1))[0]);
  }

 private:
  const run::LanguageModel& model_;
  std::vector<int64_t> ids_;
  std::vector<model::LayerCache> cache_;
  int64_t computed_ = 0;
};

// Token ids by falling probability, the first `count` of them in order; ties by id.
std::vector<int32_t> MostProbable(std::span<const float> logits, size_t count) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(count), order.end(), before);
  order.resize(count);
  return order;
}

}  // namespace

Status CheckOptions(const GenerateOptions& options) {
  if (options.max_new_tokens < 0 || !(options.temperature >= 0) || options.top_k < 0 ||
      !(options.top_p > 0 && options.top_p <= 1) ||
      !(options.repetition_penalty > 0 && std::isfinite(options.repetition_penalty))) {
    return absl::InvalidArgumentError(
        "generation: max_new_tokens, temperature and top_k must not be negative, top_p above 0 and at most "
        "1, the repetition penalty above 0");
  }
  return absl::OkStatus();
}

void PenaliseRepetition(std::span<float> logits, std::span<const int64_t> ids, double penalty) {
  if (penalty == 1) return;
  std::vector<bool> done(logits.size());
  for (const int64_t id : ids) {
    const auto at = static_cast<size_t>(id);
    if (done[at]) continue;
    done[at] = true;
    logits[at] =
        logits[at] < 0 ? logits[at] * static_cast<float>(penalty) : logits[at] / static_cast<float>(penalty);
  }
}

int32_t ChooseToken(std::span<const float> logits, const GenerateOptions& options, double draw) {
  if (options.temperature == 0 || options.top_k == 1) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  const size_t candidates =
      options.top_k > 0 ? std::min(logits.size(), static_cast<size_t>(options.top_k)) : logits.size();
  const std::vector<int32_t> order = MostProbable(logits, candidates);
  std::vector<double> weights;
  double total = 0;
  for (int32_t token : order) {
    weights.push_back(
        std::exp((static_cast<double>(logits[token]) - logits[order[0]]) / options.temperature));
    total += weights.back();
  }
  // The nucleus: as many as are needed to reach top_p of the probability, at least one.
  size_t kept = 0;
  double mass = 0;
  while (kept < order.size() && (kept == 0 || mass < options.top_p * total)) mass += weights[kept++];
  double target = draw * mass;
  for (size_t i = 0; i + 1 < kept; ++i) {
    target -= weights[i];
    if (target < 0) return order[i];
  }
  return order[kept - 1];
}

StatusOr<std::vector<float>> NextLogits(const run::LanguageModel& model, std::span<const int32_t> prompt) {
  RETURN_IF_ERROR(CheckPrompt(model, prompt));
  const torch::Tensor logits = Session(model, prompt).Next();
  return std::vector<float>(logits.const_data_ptr<float>(), logits.const_data_ptr<float>() + logits.numel());
}

StatusOr<std::vector<int32_t>> Generate(const run::LanguageModel& model, std::span<const int32_t> prompt,
                                        const GenerateOptions& options, const TokenSink& sink) {
  RETURN_IF_ERROR(CheckOptions(options));
  RETURN_IF_ERROR(CheckPrompt(model, prompt));
  Session session(model, prompt);
  std::vector<int32_t> added;
  while (static_cast<int64_t>(added.size()) < options.max_new_tokens) {
    const torch::Tensor logits = session.Next();
    const double draw = ops::UniformDraw(options.seed, kSamplingStream, added.size());
    const std::span<float> row(logits.mutable_data_ptr<float>(), static_cast<size_t>(logits.numel()));
    PenaliseRepetition(row, session.ids(), options.repetition_penalty);
    const int32_t token = ChooseToken(row, options, draw);
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), token) != options.stop_ids.end()) break;
    added.push_back(token);
    if (sink != nullptr && !sink(token)) break;
    session.Append(token);
  }
  return added;
}

}  // namespace ft::generate
