#include "worker/train/optim/loss_scale.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ft::optim {
namespace {

TEST(LossScaleTest, OverflowHalvesAndGoodStepsInARowDouble) {
  LossScale scale({.initial = 1024, .growth_steps = 3});
  scale.NoteGoodStep();
  scale.NoteGoodStep();
  scale.NoteOverflow();
  EXPECT_EQ(scale.value(), 512);
  for (int step = 0; step < 2; ++step) scale.NoteGoodStep();
  EXPECT_EQ(scale.value(), 512);
  scale.NoteGoodStep();
  EXPECT_EQ(scale.value(), 1024);
  EXPECT_EQ(scale.good_steps(), 0);
}

TEST(LossScaleTest, TheFloorIsOne) {
  LossScale scale({.initial = 2});
  EXPECT_FALSE(scale.AtFloor());
  scale.NoteOverflow();
  scale.NoteOverflow();
  EXPECT_EQ(scale.value(), 1);
  EXPECT_TRUE(scale.AtFloor());
}

TEST(LossScaleTest, OverflowIsWhatFp16CannotHold) {
  const LossScale scale(LossScaleConfig{});
  EXPECT_FALSE(scale.Overflows(torch::tensor({65504.0f, -65504.0f})));
  for (const float value : {65505.0f, -70000.0f, INFINITY, NAN}) {
    EXPECT_TRUE(scale.Overflows(torch::tensor({1.0f, value, 2.0f}))) << value;
  }
}

TEST(LossScaleTest, WithoutScalingNothingOverflowsOrChanges) {
  LossScale none;
  EXPECT_FALSE(none.Overflows(torch::tensor({INFINITY})));
  none.NoteGoodStep();
  EXPECT_EQ(none.value(), 1);
}

}  // namespace
}  // namespace ft::optim
