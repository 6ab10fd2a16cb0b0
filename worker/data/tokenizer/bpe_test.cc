#include "worker/data/tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <chrono>

namespace ft::tokenizer {
namespace {

// Tokens of the given texts with ids in their order.
BpeVocabulary Vocabulary(const std::vector<std::string>& texts) {
  BpeVocabulary vocabulary;
  vocabulary.bytes = texts;
  vocabulary.in_model.assign(texts.size(), 1);
  return vocabulary;
}

std::vector<std::string> Pieces(const BpeModel& model, std::string_view word) {
  BpeScratch scratch;
  std::vector<EncodedToken> tokens;
  model.Encode(word, &scratch, &tokens);
  std::vector<std::string> pieces;
  for (const EncodedToken& token : tokens) {
    pieces.emplace_back(model.bytes(token.id));
    EXPECT_EQ(word.substr(token.begin, token.end - token.begin), pieces.back());
  }
  return pieces;
}

using Strings = std::vector<std::string>;

TEST(BpeTest, LowerRankIsJoinedFirst) {
  //                                            0    1    2    3     4     5
  const BpeVocabulary vocabulary = Vocabulary({"a", "b", "c", "ab", "bc", "abc"});
  const BpeModel bc_first = BpeModel::FromMerges(vocabulary, {{1, 2, 4}, {0, 1, 3}}, {});
  EXPECT_EQ(Pieces(bc_first, "abc"), (Strings{"a", "bc"}));
  const BpeModel ab_first = BpeModel::FromMerges(vocabulary, {{0, 1, 3}, {1, 2, 4}, {3, 2, 5}}, {});
  EXPECT_EQ(Pieces(ab_first, "abcab"), (Strings{"abc", "ab"}));
}

TEST(BpeTest, OfEqualRanksTheLeftmostPairIsJoined) {
  const BpeModel model = BpeModel::FromMerges(Vocabulary({"a", "aa"}), {{0, 0, 1}}, {});
  EXPECT_EQ(Pieces(model, "aaaaa"), (Strings{"aa", "aa", "a"}));
}

TEST(BpeTest, WholeWordsWinOnlyWhereTheOptionSaysSo) {
  const BpeVocabulary vocabulary = Vocabulary({"a", "b", "ab"});
  EXPECT_EQ(Pieces(BpeModel::FromMerges(vocabulary, {}, {}), "ab"), (Strings{"a", "b"}));
  EXPECT_EQ(Pieces(BpeModel::FromMerges(vocabulary, {}, {.whole_words_first = true}), "ab"), (Strings{"ab"}));
}

TEST(BpeTest, BytesWithoutTokenAreLeftOutAndTheirNeighboursMeet) {
  const BpeModel model = BpeModel::FromMerges(Vocabulary({"a", "b", "ab"}), {{0, 1, 2}}, {});
  BpeScratch scratch;
  std::vector<EncodedToken> tokens;
  model.Encode("a?b", &scratch, &tokens);
  EXPECT_EQ(tokens, (std::vector<EncodedToken>{{2, 0, 3}}));
}

TEST(BpeTest, UnknownTokenStandsForBytesWithoutToken) {
  const BpeVocabulary vocabulary = Vocabulary({"<unk>", "a"});
  BpeScratch scratch;
  std::vector<EncodedToken> apart, fused;
  BpeModel::FromMerges(vocabulary, {}, {.unknown_id = 0}).Encode("??a", &scratch, &apart);
  EXPECT_EQ(apart, (std::vector<EncodedToken>{{0, 0, 1}, {0, 1, 2}, {1, 2, 3}}));
  BpeModel::FromMerges(vocabulary, {}, {.unknown_id = 0, .fuse_unknown = true})
      .Encode("??a", &scratch, &fused);
  EXPECT_EQ(fused, (std::vector<EncodedToken>{{0, 0, 2}, {1, 2, 3}}));
}

TEST(BpeTest, RanksJoinAnyNeighboursThatAreAToken) {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  texts.insert(texts.end(), {"bc", "ab", "abcd", "cd"});
  const BpeModel model = BpeModel::FromRanks(Vocabulary(texts));
  EXPECT_EQ(Pieces(model, "abcd"), (Strings{"abcd"}));  // A word that is a token.
  EXPECT_EQ(Pieces(model, "xabcd"),
            (Strings{"x", "a", "bc", "d"}));  // "bc" has the lowest rank, then nothing fits.
}

TEST(BpeTest, AMegabyteInOneWordTakesNoQuadraticTime) {
  std::vector<std::string> texts = {"a", "aa", "aaaa", "aaaaaaaa"};
  const BpeModel model = BpeModel::FromMerges(Vocabulary(texts), {{0, 0, 1}, {1, 1, 2}, {2, 2, 3}}, {});
  const std::string word(1 << 20, 'a');
  BpeScratch scratch;
  std::vector<EncodedToken> tokens;
  const auto start = std::chrono::steady_clock::now();
  model.Encode(word, &scratch, &tokens);
  EXPECT_EQ(tokens.size(), word.size() / 8);
  // Quadratic work would be 10^12 steps, many minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

}  // namespace
}  // namespace ft::tokenizer
