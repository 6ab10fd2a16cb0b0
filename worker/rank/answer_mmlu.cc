#include "worker/rank/answer_mmlu.h"

#include <array>

#include "worker/model/generate/generate.h"

namespace ft::rank {
namespace {

// The first token of each letter, which the model has a row for.
StatusOr<std::array<int32_t, kMmluChoices>> ChoiceTokens(const tokenizer::Tokenizer& tokenizer,
                                                         int64_t rows) {
  std::array<int32_t, kMmluChoices> tokens{};
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string letter(1, static_cast<char>('A' + i));
    ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer.Encode(letter));
    if (ids.empty() || ids.front() >= rows)
      return absl::InvalidArgumentError(StrCat("the model has no token for \"", letter, "\""));
    tokens[i] = ids.front();
  }
  return tokens;
}

}  // namespace

StatusOr<std::vector<MmluAnswer>> AnswerMmlu(const run::LanguageModel& model,
                                             const tokenizer::Tokenizer& tokenizer,
                                             std::span<const MmluQuestion> questions, int64_t max_tokens,
                                             const std::function<void()>& done) {
  ASSIGN_OR_RETURN(const auto choices, ChoiceTokens(tokenizer, model.config().vocabulary));
  std::vector<MmluAnswer> answers;
  for (const MmluQuestion& question : questions) {
    ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.Encode(question.prompt, {.add_bos = true}));
    if (max_tokens > 0 && static_cast<int64_t>(ids.size()) > max_tokens)
      ids.resize(static_cast<size_t>(max_tokens));
    const int64_t room = model.config().max_positions;
    if (static_cast<int64_t>(ids.size()) > room) {
      return absl::InvalidArgumentError(StrCat("question ", answers.size() + 1, " (", question.subject,
                                               ") has ", ids.size(), " tokens and the model takes ", room,
                                               ": --max-length ", room, " cuts it"));
    }
    ASSIGN_OR_RETURN(const std::vector<float> logits, generate::NextLogits(model, ids));
    int best = 0;
    for (int i = 1; i < kMmluChoices; ++i) {
      if (logits[static_cast<size_t>(choices[static_cast<size_t>(i)])] >
          logits[static_cast<size_t>(choices[static_cast<size_t>(best)])])
        best = i;
    }
    answers.push_back({question.subject, best, question.right});
    if (done) done();
  }
  return answers;
}

}  // namespace ft::rank
