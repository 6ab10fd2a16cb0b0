// A model's answers to the questions of MMLU.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "worker/data/tokenizer/tokenizer.h"
#include "worker/model/run/language_model.h"
#include "worker/rank/mmlu.h"

namespace ft::rank {

// The model's answer to each question: the most probable of the first tokens of A, B, C and D behind BOS and the prompt. Of a prompt
// longer than `max_tokens` the first so many are read, as XTuner does; 0 = none may be longer than the model's positions:
// INVALID_ARGUMENT names one that is. `done` is called after each; may be empty.
StatusOr<std::vector<MmluAnswer>> AnswerMmlu(const run::LanguageModel& model,
                                             const tokenizer::Tokenizer& tokenizer,
                                             std::span<const MmluQuestion> questions, int64_t max_tokens,
                                             const std::function<void()>& done);

}  // namespace ft::rank
