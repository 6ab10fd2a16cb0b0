#include "worker/rank/benchmarks.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <utility>

#include "worker/data/prepare/model_files.h"
#include "worker/rank/answer_mmlu.h"

namespace ft::rank {
namespace {

constexpr size_t kQuestionsOfARound = 16;  // Of a rank: a stop waits for so many answers at most.

using Answers = std::array<int8_t, kQuestionsOfARound>;

// The questions from `first` on that rank `rank` answers in this round; none where others have answered them all.
std::span<const MmluQuestion> ShareOf(const std::vector<MmluQuestion>& questions, size_t first, size_t rank) {
  const size_t begin = std::min(first + rank * kQuestionsOfARound, questions.size());
  return std::span(questions).subspan(begin, std::min(kQuestionsOfARound, questions.size() - begin));
}

records::Score ScoreOf(const std::string& name, int64_t step, std::span<const MmluAnswer> answers) {
  MmluScores scores = ScoreMmlu(answers);
  const auto named = [](const std::vector<MmluScore>& rows) {
    return std::map<std::string, double>(rows.begin(), rows.end());
  };
  return {.step = step,
          .name = name,
          .questions = static_cast<int64_t>(answers.size()),
          .average = scores.average,
          .categories = named(scores.categories),
          .subcategories = named(scores.subcategories),
          .subjects = named(scores.subjects)};
}

}  // namespace

StatusOr<std::unique_ptr<Benchmarks>> Benchmarks::Open(const recipe::JobSpec& spec) {
  auto benchmarks = std::make_unique<Benchmarks>();
  ASSIGN_OR_RETURN(benchmarks->tokenizer_,
                   prepare::OpenModelTokenizer(spec.model.source, spec.model.eos_token));
  benchmarks->max_tokens_ = spec.train.max_length;
  for (const std::string& set : spec.train.evaluate.sets) {
    StatusOr<std::vector<MmluQuestion>> questions = ReadMmlu(set);
    if (!questions.ok()) return WithContext(questions.status(), "train.evaluate.sets");
    benchmarks->sets_.push_back({std::filesystem::path(set).stem().string(), *std::move(questions)});
  }
  return benchmarks;
}

StatusOr<std::vector<records::Score>> Benchmarks::Answer(
    const run::LanguageModel& model, int64_t step, comm::Comm& comm, const std::function<void()>& beat,
    const std::function<StatusOr<bool>()>& goes_on) const {
  const auto ranks = static_cast<size_t>(comm.size());
  const int64_t max_tokens = std::min(max_tokens_, model.config().max_positions);
  std::vector<records::Score> scores;
  for (const Set& set : sets_) {
    std::vector<MmluAnswer> answers;
    while (answers.size() < set.questions.size()) {
      const size_t first = answers.size();
      const auto share = ShareOf(set.questions, first, static_cast<size_t>(comm.rank()));
      ASSIGN_OR_RETURN(const std::vector<MmluAnswer> own,
                       AnswerMmlu(model, *tokenizer_, share, max_tokens, beat));
      // Rank 0 has most: ranks with a part of the model each run all passes together.
      for (size_t i = own.size(); i < ShareOf(set.questions, first, 0).size(); ++i) model.EmptyForward();
      Answers mine{};
      for (size_t i = 0; i < own.size(); ++i) mine[i] = static_cast<int8_t>(own[i].predicted);
      std::vector<Answers> all(ranks);
      RETURN_IF_ERROR(comm.AllGather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all))));
      const size_t end = std::min(first + ranks * kQuestionsOfARound, set.questions.size());
      for (size_t i = first; i < end; ++i) {
        const size_t place = i - first;
        const int predicted = all[place / kQuestionsOfARound][place % kQuestionsOfARound];
        answers.push_back({set.questions[i].subject, predicted, set.questions[i].right});
      }
      ASSIGN_OR_RETURN(const bool more, goes_on());
      if (!more) return std::vector<records::Score>();
    }
    scores.push_back(ScoreOf(set.name, step, answers));
  }
  return scores;
}

}  // namespace ft::rank
