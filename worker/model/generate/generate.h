// Continues a sequence of tokens. Greedy output equals that of computing the whole sequence anew for each
// token (up to the last bits of the logits): where rotary angles depend on the length, the cache is dropped
// whenever they change. Lives on the model's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/base/status.h"
#include "worker/model/run/language_model.h"

namespace ft::generate {

struct GenerateOptions {
  int64_t max_new_tokens = 256;
  double temperature = 0;  // 0 = always the most probable token (of equals the first).
  int64_t top_k = 0;       // Sample among the k most probable; 0 = all.
  double top_p = 1;        // ... and among the fewest that together have this probability.
  double repetition_penalty =
      1;  // Divides positive logits of tokens that are there already, and multiplies negative ones (arXiv 1909.05858).
  uint64_t seed = 0;              // Seed of sampling; the i-th token's draw is a function of seed and i.
  std::vector<int32_t> stop_ids;  // End the text, and are not part of it.
};

// INVALID_ARGUMENT names what is out of range.
Status CheckOptions(const GenerateOptions& options);

// Called with every new token; false stops.
using TokenSink = std::function<bool(int32_t token)>;

// The new tokens. INVALID_ARGUMENT for an empty prompt, ids outside the vocabulary or options out of range.
StatusOr<std::vector<int32_t>> Generate(const run::LanguageModel& model, std::span<const int32_t> prompt,
                                        const GenerateOptions& options, const TokenSink& sink = nullptr);

// The logits behind the prompt's last token, of the whole vocabulary. Errors as Generate's for a prompt.
StatusOr<std::vector<float>> NextLogits(const run::LanguageModel& model, std::span<const int32_t> prompt);

// The penalty on every token that `ids` holds, once however often; 1 changes nothing. REQUIRES: ids below the logits' number.
void PenaliseRepetition(std::span<float> logits, std::span<const int64_t> ids, double penalty);

// The next token from one row of logits; `draw` in [0, 1) decides where the choice is random.
int32_t ChooseToken(std::span<const float> logits, const GenerateOptions& options, double draw);

}  // namespace ft::generate
