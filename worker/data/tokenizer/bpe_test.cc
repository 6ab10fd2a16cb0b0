#include "worker/data/tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <chrono>

namespace ft::tokenizer {
namespace {

// Tokens of the given texts with ids in their order.
Vocabulary Tokens(const std::vector<std::string>& texts) {
  Vocabulary vocabulary;
  vocabulary.bytes = texts;
  vocabulary.in_model.assign(texts.size(), 1);
  return vocabulary;
}

std::vector<std::string> Pieces(const SubwordModel& model, std::string_view word) {
  SubwordScratch scratch;
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
  const Vocabulary vocabulary = Tokens({"a", "b", "c", "ab", "bc", "abc"});
  const auto bc_first = BpeModel::FromMerges(vocabulary, {{1, 2, 4}, {0, 1, 3}}, {});
  EXPECT_EQ(Pieces(*bc_first, "abc"), (Strings{"a", "bc"}));
  const auto ab_first = BpeModel::FromMerges(vocabulary, {{0, 1, 3}, {1, 2, 4}, {3, 2, 5}}, {});
  EXPECT_EQ(Pieces(*ab_first, "abcab"), (Strings{"abc", "ab"}));
}

TEST(BpeTest, OfEqualRanksTheLeftmostPairIsJoined) {
  const auto model = BpeModel::FromMerges(Tokens({"a", "aa"}), {{0, 0, 1}}, {});
  EXPECT_EQ(Pieces(*model, "aaaaa"), (Strings{"aa", "aa", "a"}));
}

TEST(BpeTest, WholeWordsWinOnlyWhereTheOptionSaysSo) {
  const Vocabulary vocabulary = Tokens({"a", "b", "ab"});
  EXPECT_EQ(Pieces(*BpeModel::FromMerges(vocabulary, {}, {}), "ab"), (Strings{"a", "b"}));
  EXPECT_EQ(Pieces(*BpeModel::FromMerges(vocabulary, {}, {.whole_words_first = true}), "ab"),
            (Strings{"ab"}));
}

TEST(BpeTest, BytesWithoutTokenAreLeftOutAndTheirNeighboursMeet) {
  const auto model = BpeModel::FromMerges(Tokens({"a", "b", "ab"}), {{0, 1, 2}}, {});
  SubwordScratch scratch;
  std::vector<EncodedToken> tokens;
  model->Encode("a?b", &scratch, &tokens);
  EXPECT_EQ(tokens, (std::vector<EncodedToken>{{2, 0, 3}}));
}

TEST(BpeTest, UnknownTokenStandsForBytesWithoutToken) {
  const Vocabulary vocabulary = Tokens({"<unk>", "a"});
  SubwordScratch scratch;
  std::vector<EncodedToken> apart, fused;
  BpeModel::FromMerges(vocabulary, {}, {.unknown = {.unknown_id = 0}})->Encode("??a", &scratch, &apart);
  EXPECT_EQ(apart, (std::vector<EncodedToken>{{0, 0, 1}, {0, 1, 2}, {1, 2, 3}}));
  scratch = {};
  BpeModel::FromMerges(vocabulary, {}, {.unknown = {.unknown_id = 0, .fuse = true}})
      ->Encode("??a", &scratch, &fused);
  EXPECT_EQ(fused, (std::vector<EncodedToken>{{0, 0, 2}, {1, 2, 3}}));
}

TEST(BpeTest, RanksJoinAnyNeighboursThatAreAToken) {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  texts.insert(texts.end(), {"bc", "ab", "abcd", "cd"});
  const auto model = BpeModel::FromRanks(Tokens(texts));
  EXPECT_EQ(Pieces(*model, "abcd"), (Strings{"abcd"}));  // A word that is a token.
  EXPECT_EQ(Pieces(*model, "xabcd"),
            (Strings{"x", "a", "bc", "d"}));  // "bc" has the lowest rank, then nothing fits.
}

TEST(BpeTest, AMegabyteInOneWordTakesNoQuadraticTime) {
  std::vector<std::string> texts = {"a", "aa", "aaaa", "aaaaaaaa"};
  const auto model = BpeModel::FromMerges(Tokens(texts), {{0, 0, 1}, {1, 1, 2}, {2, 2, 3}}, {});
  const std::string word(1 << 20, 'a');
  SubwordScratch scratch;
  std::vector<EncodedToken> tokens;
  const auto start = std::chrono::steady_clock::now();
  model->Encode(word, &scratch, &tokens);
  EXPECT_EQ(tokens.size(), word.size() / 8);
  // Quadratic work would be 10^12 steps, many minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(BpeTest, ScoresJoinTheBestPieceFirstAndTheLeftmostOfEqualOnes) {
  const Vocabulary vocabulary = Tokens({"a", "b", "ab", "ba", "aba"});
  const BpeOptions options{.characters = true, .whole_texts = true};
  EXPECT_EQ(Pieces(*BpeModel::FromScores(vocabulary, {-9, -9, -1, -2, -3}, options), "aba"),
            (Strings{"aba"}));
  EXPECT_EQ(Pieces(*BpeModel::FromScores(vocabulary, {-9, -9, -1, -1, -30}, options), "bab"),
            (Strings{"ba", "b"}));
}

// SentencePiece looks joined pieces up by their text: a character that is no piece itself may still become a part of one.
TEST(BpeTest, ScoresJoinCharactersThatAreNoPieces) {
  const auto model =
      BpeModel::FromScores(Tokens({"a", "ab", "<unk>"}), {-1, -2, 0},
                           {.characters = true, .unknown = {.unknown_id = 2}, .whole_texts = true});
  EXPECT_EQ(Pieces(*model, "aab"), (Strings{"a", "ab"}));
}

TEST(BpeTest, FixedPiecesAreJoinedWithNothing) {
  const auto model =
      BpeModel::FromScores(Tokens({"a", "b", "ab", "<b>", "<", ">", "a<"}), {-9, -9, -1, 0, -9, -9, -1},
                           {.characters = true, .whole_texts = true, .fixed = {3}});
  EXPECT_EQ(Pieces(*model, "a<b>ab"), (Strings{"a", "<b>", "ab"}));
}

TEST(BpeTest, UnknownCharactersBecomeBytesWhereTheirTokensAreThere) {
  std::array<int32_t, 256> bytes;
  bytes.fill(-1);
  bytes[0xC3] = 2;
  bytes[0xA4] = 3;
  SubwordScratch scratch;
  std::vector<EncodedToken> tokens;
  BpeModel::FromMerges(
      Tokens({"<unk>", "a", "<0xC3>", "<0xA4>"}), {},
      {.characters = true, .unknown = {.unknown_id = 0, .byte_tokens = bytes}, .whole_texts = true})
      ->Encode("a\u00E4\u00E9", &scratch, &tokens);
  EXPECT_EQ(tokens, (std::vector<EncodedToken>{{1, 0, 1}, {2, 1, 2}, {3, 2, 3}, {0, 3, 5}}));
}

// Words that were seen before come from the cache, with places of their own.
TEST(BpeTest, WordsSeenBeforeAreCutAsTheFirstTime) {
  const auto model = BpeModel::FromScores(
      Tokens({"a", "b", "ab", " ", "<unk>"}), {-9, -9, -1, -9, 0},
      {.characters = true, .unknown = {.unknown_id = 4, .fuse = true}, .whole_texts = true});
  SubwordScratch scratch;
  std::vector<EncodedToken> first, again;
  model->Encode("ab ?ab ??b ab", &scratch, &first);
  model->Encode("ab ?ab ??b ab", &scratch, &again);
  EXPECT_EQ(first, again);
  EXPECT_EQ(first, (std::vector<EncodedToken>{{2, 0, 2},
                                              {3, 2, 3},
                                              {4, 3, 4},
                                              {2, 4, 6},
                                              {3, 6, 7},
                                              {4, 7, 9},
                                              {1, 9, 10},
                                              {3, 10, 11},
                                              {2, 11, 13}}));
}

}  // namespace
}  // namespace ft::tokenizer
