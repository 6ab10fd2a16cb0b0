// The scanners by hand against the regular expressions that they stand for.
#include "worker/data/tokenizer/word_patterns.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "worker/data/tokenizer/regex.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

using Strings = std::vector<std::string>;

Strings ByScanner(std::string_view pattern, std::string_view text) {
  const WordScanner scanner = ScannerOf(pattern);
  Strings words;
  bool matched = false;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    end = scanner(text, begin, &matched);
    if (matched) words.emplace_back(text.substr(begin, end - begin));
  }
  return words;
}

Strings ByRegex(std::string_view pattern, std::string_view text) {
  const auto regex = Regex::Compile(pattern);
  std::vector<Regex::Match> matches;
  EXPECT_TRUE(regex.ok() && regex->FindAll(text, &matches).ok());
  Strings words;
  for (const Regex::Match& match : matches)
    words.emplace_back(text.substr(match.begin, match.end - match.begin));
  return words;
}

// Every kind of character that a pattern tells apart, and some that fold to letters of contractions.
std::string RandomText(std::mt19937& random) {
  static const Strings parts = {
      "a",      "Z",          "s",          "T",          "re",     "VE",     "ll",     "'",
      "'",      " ",          " ",          "\n",         "\r",     "\t",     "1",      "23",
      "!",      "-",          "_",          "\u00e9",     "\u017f", "\u4f60", "\u3000", "\u00a0",
      "\u0085", "\u2028",     "\u0663",     "\u00b2",     "\u2167", "\u0301", "\u0e33", "\u200b",
      "\u180e", "\U0001F600", "\U00020000", "\U0001D7D8", "\x01",   "\u212a"};
  std::string text;
  for (size_t size = random() % 24; size > 0; --size) text += parts[random() % parts.size()];
  return text;
}

TEST(WordPatternsTest, ScannersCutAsTheirRegularExpressions) {
  constexpr unsigned kSeed = 20261128;
  std::mt19937 random(kSeed);
  for (const std::string_view pattern : {kGpt2Pattern, kQwenPattern, kLlama3Pattern, kDigitPattern}) {
    ASSERT_NE(ScannerOf(pattern), nullptr) << pattern;
    for (int i = 0; i < 5000; ++i) {
      const std::string text = RandomText(random);
      ASSERT_EQ(ByScanner(pattern, text), ByRegex(pattern, text))
          << pattern << " on " << text << ", seed " << kSeed;
    }
  }
}

TEST(WordPatternsTest, OtherPatternsHaveNoScanner) { EXPECT_EQ(ScannerOf(R"(\p{L}+)"), nullptr); }

}  // namespace
}  // namespace ft::tokenizer
