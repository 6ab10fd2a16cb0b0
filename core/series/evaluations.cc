#include "core/series/evaluations.h"

#include <algorithm>
#include <string>

#include "core/recipe/job_spec.h"

namespace ft::series {
namespace {

namespace pb = finetune::v1;

// The place of this set's result; null where there are too many.
pb::Evaluation* Place(std::string_view name, pb::JobProgress& progress) {
  auto& known = *progress.mutable_evaluations();
  const auto found = std::find_if(known.begin(), known.end(),
                                  [name](const pb::Evaluation& one) { return one.name() == name; });
  if (found != known.end()) return &*found;
  return known.size() < kMaxEvaluations ? known.Add() : nullptr;
}

pb::Evaluation* Begin(std::string_view name, int64_t step, pb::JobProgress& progress) {
  pb::Evaluation* place = Place(name, progress);
  if (place == nullptr) return nullptr;
  place->Clear();
  place->set_name(std::string(name));
  place->set_step(step);
  return place;
}

}  // namespace

void NoteLoss(std::string_view name, int64_t step, double loss, int64_t tokens, pb::JobProgress& progress) {
  if (name == recipe::kHoldout) {
    progress.set_eval_loss(loss);
    progress.set_has_eval_loss(true);
  } else if (pb::Evaluation* evaluation = Begin(name, step, progress)) {
    evaluation->set_loss(loss);
    evaluation->set_tokens(tokens);
  }
}

void NoteScore(std::string_view name, int64_t step, double score, int64_t questions,
               pb::JobProgress& progress) {
  if (pb::Evaluation* evaluation = Begin(name, step, progress)) {
    evaluation->set_score(score);
    evaluation->set_questions(questions);
  }
}

}  // namespace ft::series
