#include "worker/data/tokenizer/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <string>

namespace ft::tokenizer {
namespace {

using Strings = std::vector<std::string>;

Strings Words(const PreTokenizer& pre_tokenizer, std::string_view text) {
  PreTokenizer::Scratch scratch;
  const Status status = pre_tokenizer.Split(text, &scratch);
  EXPECT_TRUE(status.ok()) << status;
  return Strings(scratch.words.begin(), scratch.words.end());
}

PreTokenizer WithPatterns(const std::vector<std::string_view>& patterns) {
  PreTokenizer pre_tokenizer;
  for (const std::string_view pattern : patterns) EXPECT_TRUE(pre_tokenizer.AddPattern(pattern).ok());
  return pre_tokenizer;
}

Strings SplitAtCommas(SplitBehavior behavior, bool invert, std::string_view text) {
  PreTokenizer pre_tokenizer;
  pre_tokenizer.Add({.regex = *Regex::Compile(","), .behavior = behavior, .invert = invert});
  return Words(pre_tokenizer, text);
}

TEST(PreTokenizerTest, Gpt2Words) {
  const PreTokenizer gpt2 = WithPatterns({kGpt2Pattern});
  EXPECT_EQ(Words(gpt2, "It's  12 o'clock!\n"),
            (Strings{"It", "'s", " ", " 12", " o", "'", "clock", "!", "\n"}));
  EXPECT_EQ(Words(gpt2, ""), (Strings{}));
}

TEST(PreTokenizerTest, DigitsFirstLeavesSpacesAlone) {
  EXPECT_EQ(Words(WithPatterns({kDigitPattern, kGpt2Pattern}), "a  12"), (Strings{"a", "  ", "1", "2"}));
}

TEST(PreTokenizerTest, QwenAndLlama3DifferInDigits) {
  EXPECT_EQ(Words(WithPatterns({kQwenPattern}), "x=1234 DON'T"),
            (Strings{"x", "=", "1", "2", "3", "4", " DON", "'T"}));
  EXPECT_EQ(Words(WithPatterns({kLlama3Pattern}), "x=1234"), (Strings{"x", "=", "123", "4"}));
}

TEST(PreTokenizerTest, WhiteSpaceIsUnicodes) {
  // U+3000 is white space; U+180E is not, though PCRE2's own \s would take it.
  EXPECT_EQ(Words(WithPatterns({R"(\s+|\S+)"}), "a\u3000b\u180Ec"), (Strings{"a", "\u3000", "b\u180Ec"}));
  EXPECT_EQ(Words(WithPatterns({R"([^\s]+)"}), "a\u0085b"), (Strings{"a", "\u0085", "b"}));
}

TEST(PreTokenizerTest, Behaviours) {
  EXPECT_EQ(SplitAtCommas(SplitBehavior::kIsolated, false, "a,,b"), (Strings{"a", ",", ",", "b"}));
  EXPECT_EQ(SplitAtCommas(SplitBehavior::kRemoved, false, "a,,b"), (Strings{"a", "b"}));
  EXPECT_EQ(SplitAtCommas(SplitBehavior::kRemoved, true, "a,,b"), (Strings{",", ","}));
  EXPECT_EQ(SplitAtCommas(SplitBehavior::kContiguous, false, "a,,b"), (Strings{"a", ",,", "b"}));
  EXPECT_EQ(SplitAtCommas(SplitBehavior::kMergedWithPrevious, false, ",a,,b"),
            (Strings{",", "a,", ",", "b"}));
  EXPECT_EQ(SplitAtCommas(SplitBehavior::kMergedWithNext, false, "a,,b,"), (Strings{"a", ",", ",b", ","}));
}

TEST(RegexTest, ConstructsWithAnotherMeaningAreRefusedByName) {
  for (const std::string_view pattern :
       {R"(\w+)", R"(a\b)", R"([\S])", "[a[b]]", "[a&&b]", "(*UCP)a", "a\\"}) {
    const Status status = Regex::Compile(pattern).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << pattern;
    EXPECT_NE(Message(status).find("uses"), std::string_view::npos) << status;
  }
  EXPECT_NE(Message(Regex::Compile("a(b").status()).find("not valid"), std::string_view::npos);
}

TEST(RegexTest, LongTextsStayQuick) {
  const std::string spaces(1 << 20, ' ');
  EXPECT_EQ(Words(WithPatterns({kQwenPattern}), spaces + "x").size(), 2u);
  EXPECT_EQ(Words(WithPatterns({kGpt2Pattern}), std::string(1 << 20, 'x')).size(), 1u);
}

TEST(RegexTest, CatastrophicPatternsEndWithAnError) {
  const PreTokenizer hostile = WithPatterns({"(a+)+$"});
  PreTokenizer::Scratch scratch;
  const std::string text = std::string(64, 'a') + "b";
  EXPECT_TRUE(absl::IsResourceExhausted(hostile.Split(text, &scratch)));
}

}  // namespace
}  // namespace ft::tokenizer
