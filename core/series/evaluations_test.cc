#include "core/series/evaluations.h"

#include <gtest/gtest.h>

#include <string>

namespace ft::series {
namespace {

TEST(EvaluationsTest, TheShareHeldOutHasAPlaceOfItsOwn) {
  finetune::v1::JobProgress progress;
  NoteLoss("holdout", 3, 1.5, 7, progress);
  EXPECT_TRUE(progress.has_eval_loss());
  EXPECT_EQ(progress.eval_loss(), 1.5);
  EXPECT_EQ(progress.evaluations_size(), 0);
}

TEST(EvaluationsTest, TheNewestOfEachSetStands) {
  finetune::v1::JobProgress progress;
  NoteLoss("wiki", 0, 3, 70, progress);
  NoteScore("mmlu", 5, 25, 8, progress);
  NoteLoss("wiki", 5, 2, 71, progress);
  EXPECT_FALSE(progress.has_eval_loss());
  ASSERT_EQ(progress.evaluations_size(), 2);
  EXPECT_EQ(progress.evaluations(0).ShortDebugString(), "name: \"wiki\" step: 5 loss: 2 tokens: 71");
  EXPECT_EQ(progress.evaluations(1).ShortDebugString(), "name: \"mmlu\" step: 5 score: 25 questions: 8");
}

TEST(EvaluationsTest, TheirNumberIsBounded) {
  finetune::v1::JobProgress progress;
  for (int i = 0; i < 2 * kMaxEvaluations; ++i) NoteLoss("set" + std::to_string(i), 1, 2, 3, progress);
  EXPECT_EQ(progress.evaluations_size(), kMaxEvaluations);
  NoteLoss("set0", 9, 2, 3, progress);
  EXPECT_EQ(progress.evaluations(0).step(), 9);
}

}  // namespace
}  // namespace ft::series
