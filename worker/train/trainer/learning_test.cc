#include "worker/train/trainer/learning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ft::train {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Verdict(const std::vector<double>& losses, double rate = 1e-3) {
  Learning learning;
  for (const double loss : losses) learning.Add(loss);
  return learning.Verdict(/*vocabulary=*/49152, rate);
}

// Rate 10: loss 12 at first, 99 at the end.
TEST(CasesLearning, ADivergedRunIsSaidToBeOne) {
  EXPECT_THAT(Verdict({12, 40, 99}, 10),
              AllOf(HasSubstr("99.00"), HasSubstr("12.00"), HasSubstr("nothing was learnt"),
                    HasSubstr("train.optimizer.lr (it is 10)")));
  EXPECT_THAT(Verdict({3, std::numeric_limits<double>::quiet_NaN()}), HasSubstr("nothing was learnt"));
}

TEST(CasesLearning, ALossThatDoesNotFallIsSaid) {
  EXPECT_THAT(Verdict({3, 2.9, 3.1, 3, 3.2, 2.8, 3, 3.1}),
              HasSubstr("did not fall: 3.00 at first, 3.10 at the end"));
}

TEST(CasesLearning, RunsThatLearnAndShortOnesAreLeftAlone) {
  EXPECT_EQ(Verdict({}), "");
  EXPECT_EQ(Verdict({7}), "");
  EXPECT_EQ(Verdict({11.5}), "");  // One step: the model was like that before.
  EXPECT_EQ(Verdict({3, 3.1}), "");
  EXPECT_EQ(Verdict({3, 2.5, 2, 1.5, 1, 0.9, 0.8, 0.7}), "");
  std::vector<double> noisy;
  for (int i = 0; i < 100; ++i) noisy.push_back(3 - 0.01 * i + (i % 7 == 0 ? 0.5 : 0));
  EXPECT_EQ(Verdict(noisy), "");
}

}  // namespace
}  // namespace ft::train
