#include "worker/rank/sample_chats.h"

#include <gtest/gtest.h>

#include <set>

namespace ft::rank {
namespace {

recipe::JobSpec Job(const std::string& compat) {
  recipe::JobSpec spec;
  spec.compat = compat;
  spec.train.evaluate.max_new_tokens = 600;
  return spec;
}

TEST(SampleOptionsTest, WithoutHabitsAnswersAreGreedy) {
  EXPECT_EQ(SampleOptions(Job("none"), 0, 0).temperature, 0);
  EXPECT_EQ(SampleOptions(Job("none"), 0, 0).max_new_tokens, 600);
}

TEST(SampleOptionsTest, XTunersAreDrawnAndShortBeforeTheFirstStep) {
  const generate::GenerateOptions options = SampleOptions(Job("xtuner-0.1.9"), 7, 1);
  EXPECT_EQ(options.temperature, 0.1);
  EXPECT_EQ(options.top_k, 40);
  EXPECT_EQ(options.top_p, 0.75);
  EXPECT_EQ(options.max_new_tokens, 600);
  EXPECT_EQ(SampleOptions(Job("xtuner-0.1.9"), 0, 1).max_new_tokens, 50);
}

TEST(SampleOptionsTest, EachStepAndPromptHasDrawsOfItsOwnAndTheSameEachTime) {
  std::set<uint64_t> seeds;
  for (int64_t step = 0; step < 20; ++step) {
    for (size_t prompt = 0; prompt < 5; ++prompt) {
      seeds.insert(SampleOptions(Job("xtuner-0.1.9"), step, prompt).seed);
      EXPECT_EQ(SampleOptions(Job("xtuner-0.1.9"), step, prompt).seed,
                SampleOptions(Job("xtuner-0.1.9"), step, prompt).seed);
    }
  }
  EXPECT_EQ(seeds.size(), 100u);
  recipe::JobSpec other = Job("xtuner-0.1.9");
  other.train.seed = 43;
  EXPECT_FALSE(seeds.contains(SampleOptions(other, 0, 0).seed));
}

TEST(StopWordTest, IsFoundAtTheEndAcrossLineEnds) {
  EXPECT_EQ(StopWordAt("Four.<|im_end|>", "<|im_end|>"), 5u);
  EXPECT_EQ(StopWordAt("Four.<|im\r\n_end|>\n", "<|im_end|>"), 5u);
  EXPECT_EQ(StopWordAt("Four.<|im_end|> and more", "<|im_end|>"), std::nullopt);
  EXPECT_EQ(StopWordAt("end|>", "<|im_end|>"), std::nullopt);
  EXPECT_EQ(StopWordAt("", "x"), std::nullopt);
  EXPECT_EQ(StopWordAt("text", ""), std::nullopt);
  EXPECT_EQ(StopWordAt("a\nUser:", "\nUser:"), 2u);  // Its line end is passed over too.
  EXPECT_EQ(StopWordAt("text\n", "\n"), std::nullopt);
}

TEST(StopWordTest, WhatMayBecomeOneIsHeldBack) {
  const std::vector<std::string> words = {"<eoa>", "User:"};
  EXPECT_EQ(LengthBeforeStopWords("Four. <", words), 6u);
  EXPECT_EQ(LengthBeforeStopWords("Four. <e\noa", words), 6u) << "line ends in it do not count";
  EXPECT_EQ(LengthBeforeStopWords("Four. <eoa>", words), 6u);
  EXPECT_EQ(LengthBeforeStopWords("Four. <eoa> is a mark", words), 21u);
  EXPECT_EQ(LengthBeforeStopWords("4 < 5 Use", words), 6u);
  EXPECT_EQ(LengthBeforeStopWords("Four.\n", words), 6u);
  EXPECT_EQ(LengthBeforeStopWords("", words), 0u);
  EXPECT_EQ(LengthBeforeStopWords("Four. <", {}), 7u);
}

}  // namespace
}  // namespace ft::rank
