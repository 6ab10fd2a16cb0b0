// SentencePiece models made here: what is cut, what the classes around do, and what is refused. The reference data and
// tests/checks/tokenise_test.py compare with the library itself.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "core/base/check.h"
#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/data/tokenizer/charsmap.h"
#include "worker/data/tokenizer/gguf_vocabulary.h"
#include "worker/data/tokenizer/tiny_sentencepiece.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::tokenizer {
namespace {

using nlohmann::json;
using Kind = SentencePieceModel::Kind;
using Ids = std::vector<int32_t>;
using Tokens = std::vector<EncodedToken>;

const std::string kMark = "\u2581";

class SentencePieceTest : public ::testing::Test {
 protected:
  StatusOr<std::unique_ptr<Tokenizer>> TryOpen(const std::string& content) {
    FT_CHECK(WriteFileDurably(dir_ / "tokenizer.model", content).ok());
    FT_CHECK(WriteFileDurably(dir_ / "tokenizer_config.json", config_.dump()).ok());
    return OpenTokenizer(dir_.path());
  }
  std::unique_ptr<Tokenizer> Open(const SentencePieceModel& model) {
    auto opened = TryOpen(WriteSentencePiece(model));
    FT_CHECK(opened.ok()) << opened.status();
    return *std::move(opened);
  }
  void ExpectRefused(const SentencePieceModel& model, std::string_view part) {
    const Status status = TryOpen(WriteSentencePiece(model)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(Message(status).find("tokenizer.model"), std::string_view::npos) << status;
    EXPECT_NE(Message(status).find(part), std::string_view::npos) << part << " in: " << status;
  }

  ft::testing::TempDir dir_;
  json config_ = json::object();
};

// Ids 3 to 9.
SentencePieceModel Letters() {
  return TinySentencePiece({{kMark, -5},
                            {"a", -6},
                            {"b", -7},
                            {"ab", -1},
                            {kMark + "ab", -2},
                            {"<x>", 0, Kind::kUserDefined},
                            {kMark + "a", -9}},
                           /*bytes=*/false);
}

TEST_F(SentencePieceTest, CutsBySeveralRules) {
  const auto tokenizer = Open(Letters());
  EXPECT_EQ(*tokenizer->EncodeWithOffsets("ab ab"), (Tokens{{7, 0, 2}, {7, 2, 5}}));
  // Unknown characters side by side are one token; a user-defined piece is joined with nothing.
  EXPECT_EQ(*tokenizer->EncodeWithOffsets("??a<x>b"),
            (Tokens{{3, 0, 0}, {0, 0, 2}, {4, 2, 3}, {8, 3, 6}, {5, 6, 7}}));
  EXPECT_EQ(*tokenizer->Encode(""), Ids());
  EXPECT_EQ(*tokenizer->Encode(" "), (Ids{3, 3}));
  EXPECT_EQ(tokenizer->TokenId(" ab"), 7);
  EXPECT_EQ(tokenizer->vocab_size(), 10);
  EXPECT_TRUE(tokenizer->adds_bos());
}

TEST_F(SentencePieceTest, UnspelledCharactersBecomeBytes) {
  const auto tokenizer = Open(TinySentencePiece({{kMark, -1}, {"a", -2}}, /*bytes=*/true));
  EXPECT_EQ(*tokenizer->EncodeWithOffsets("a\u00e9"),
            (Tokens{{259, 0, 0}, {260, 0, 1}, {3 + 0xC3, 1, 2}, {3 + 0xA9, 2, 3}}));
  EXPECT_EQ(tokenizer->Decode(Ids{259, 260, 3 + 0xC3, 3 + 0xA9}), "a\u00e9");
}

TEST_F(SentencePieceTest, TheSpaceInFrontIsTakenAwayFromAWholeTextOnly) {
  const auto tokenizer = Open(Letters());
  EXPECT_EQ(tokenizer->Decode(Ids{7, 7}), "ab ab");
  EXPECT_EQ(tokenizer->Decode(Ids{7, 7}, {.continues = true}), " ab ab");
  EXPECT_EQ(tokenizer->Decode(Ids{1, 7, 2}), "<s> ab</s>");
  EXPECT_EQ(tokenizer->Decode(Ids{1, 7, 2}, {.skip_special = true}), "ab");
  SentencePieceModel bare = Letters();
  bare.add_dummy_prefix = false;
  EXPECT_EQ(Open(bare)->Decode(Ids{7}), " ab");
  EXPECT_EQ(*Open(bare)->Encode("ab"), Ids{6});
}

TEST_F(SentencePieceTest, SpecialTokensOfLlamaStandAlone) {
  config_ = {{"tokenizer_class", "LlamaTokenizer"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}};
  const auto tokenizer = Open(Letters());
  EXPECT_EQ(*tokenizer->EncodeWithOffsets("ab<s> ab"), (Tokens{{7, 0, 2}, {1, 2, 5}, {3, 5, 5}, {7, 5, 8}}));
  EXPECT_EQ(*tokenizer->Encode("ab", {.add_bos = true}), (Ids{1, 7}));
  EXPECT_EQ(*tokenizer->Encode("<s>", {.parse_special = false}), (Ids{3, 0}));
}

TEST_F(SentencePieceTest, SpecialTokensOfInternLmTakeSpacesAlong) {
  config_ = {{"tokenizer_class", "InternLMTokenizer"}, {"bos_token", "<s>"}};
  EXPECT_EQ(*Open(Letters())->EncodeWithOffsets("ab <s> ab"), (Tokens{{7, 0, 2}, {1, 2, 7}, {7, 7, 9}}));
}

TEST_F(SentencePieceTest, ChatGlmHasIdsBehindThePieces) {
  config_ = {{"tokenizer_class", "ChatGLMTokenizer"}, {"name_or_path", "THUDM/chatglm3-6b"}};
  const auto tokenizer = Open(Letters());
  EXPECT_EQ(tokenizer->bos_ids(), (Ids{11, 13}));
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->vocab_size(), 19);
  EXPECT_EQ(*tokenizer->Encode("<|user|>ab", {.add_bos = true}), (Ids{11, 13, 16, 7}));
  // Only the roles are read out of a text.
  for (const char* text : {"[gMASK]", "sop", "<s>"}) EXPECT_EQ(*tokenizer->Encode(text), (Ids{3, 0})) << text;
  EXPECT_EQ(*tokenizer->EncodeWithOffsets("[gMASK]sopab", {.parse_bos = true}),
            (Tokens{{11, 0, 10}, {13, 0, 10}, {7, 10, 12}}));
  EXPECT_EQ(tokenizer->Decode(Ids{11, 13}), "[gMASK]sop");
  EXPECT_TRUE(tokenizer->is_special(11));
  config_["name_or_path"] = "THUDM/chatglm2-6b";
  EXPECT_EQ(Open(Letters())->vocab_size(), 15);
}

TEST_F(SentencePieceTest, TokensAddedToTheFolderAreFound) {
  config_["added_tokens_decoder"] = {{"10", {{"content", "<new>"}, {"special", true}}}};
  ASSERT_TRUE(WriteFileDurably(dir_ / "added_tokens.json", R"({"<old>": 11})").ok());
  EXPECT_EQ(*Open(Letters())->Encode("<new>ab<old>"), (Ids{10, 7, 11}));
}

// By sums of scores: "ab" + "c" beats "a" + "bc", and of equal sums the longer first token wins.
TEST_F(SentencePieceTest, UnigramTakesTheBestPath) {
  SentencePieceModel model = TinySentencePiece({{"a", -3},
                                                {"b", -3},
                                                {"c", -3},
                                                {"ab", -4},
                                                {"bc", -5},
                                                {kMark, -1},
                                                {"<x>", -99, Kind::kUserDefined}},
                                               false);
  model.algorithm = SentencePieceModel::Algorithm::kUnigram;
  model.add_dummy_prefix = false;
  const auto tokenizer = Open(model);
  EXPECT_EQ(*tokenizer->EncodeWithOffsets("abc"), (Tokens{{6, 0, 2}, {5, 2, 3}}));
  EXPECT_EQ(*tokenizer->EncodeWithOffsets("bc??a"), (Tokens{{7, 0, 2}, {0, 2, 4}, {3, 4, 5}}));
  EXPECT_EQ(*tokenizer->Encode("a<x> c"), (Ids{3, 9, 8, 5}));
}

// Sums are floats over the whole text, as the library's: where they have grown large, a small difference is lost, and the
// token that begins first wins. What was remembered from a place where it was not lost must not be used there.
TEST_F(SentencePieceTest, UnigramRoundsAsTheLibraryDoesHoweverOftenAWordComes) {
  SentencePieceModel model =
      TinySentencePiece({{"a", -3}, {"b", -3}, {"ab", -2}, {"ba", -2.0001F}, {"z", -5000}, {kMark, -1}},
                        /*bytes=*/false);
  model.algorithm = SentencePieceModel::Algorithm::kUnigram;
  model.add_dummy_prefix = false;
  const auto tokenizer = Open(model);
  const Ids near = {5, 3}, far = {3, 6};  // "ab" and "a", or "a" and "ba".
  std::string text = "aba ";
  for (int i = 0; i < 1000; ++i) text += "z";
  text += " aba";
  const Ids fresh = *Open(model)->Encode(text);
  EXPECT_EQ(Ids(fresh.begin(), fresh.begin() + 2), near);
  EXPECT_EQ(Ids(fresh.end() - 2, fresh.end()), far);
  // And again with everything remembered, in both orders.
  EXPECT_EQ(*tokenizer->Encode("aba aba"), (Ids{5, 3, 8, 5, 3}));
  EXPECT_EQ(*tokenizer->Encode(text), fresh);
  EXPECT_EQ(*tokenizer->Encode("aba aba"), (Ids{5, 3, 8, 5, 3}));
}

TEST_F(SentencePieceTest, SuperfluousSpacesAreLeftOutWhereTheModelSaysSo) {
  SentencePieceModel model = Letters();
  model.remove_extra_whitespaces = true;
  EXPECT_EQ(*Open(model)->EncodeWithOffsets("  ab   ab "), (Tokens{{7, 2, 4}, {7, 4, 9}}));
  EXPECT_EQ(*Open(model)->Encode("   "), Ids());
}

// A map of one entry, "A" to "ab", as a double array: the root's offset is 1, so that "A" leads to unit 1 ^ 'A', whose
// value lies one unit further.
std::string MapOfOneEntry() {
  std::vector<uint32_t> units(128, 0);
  units[0] = 1U << 10;
  units[1 ^ 'A'] = (1U << 10) | (1U << 8) | 'A';
  units[1 ^ 'A' ^ 1] = 0x80000000U;
  std::string blob;
  const auto add = [&blob](uint32_t value) {
    for (int i = 0; i < 4; ++i) blob.push_back(static_cast<char>(value >> (8 * i)));
  };
  add(static_cast<uint32_t>(4 * units.size()));
  for (const uint32_t unit : units) add(unit);
  return blob + "ab" + '\0';
}

TEST_F(SentencePieceTest, CharactersAreReplacedByTheModelsMap) {
  SentencePieceModel model = Letters();
  model.charsmap = MapOfOneEntry();
  EXPECT_EQ(*Open(model)->EncodeWithOffsets("A aA"), (Tokens{{7, 0, 1}, {9, 1, 3}, {6, 3, 4}}));
  const auto map = Charsmap::Parse(model.charsmap);
  EXPECT_TRUE(map->MayBeginAt("xA", 1));
  EXPECT_TRUE(map->MayBeginAt("Ax", 0));
  EXPECT_FALSE(map->MayBeginAt("xA", 0));
}

TEST_F(SentencePieceTest, DamagedMapsAreRefusedOrStayWithinTheirBytes) {
  SentencePieceModel model = Letters();
  model.charsmap = "abc";
  ExpectRefused(model, "normaliser's map is damaged");
  model.charsmap = std::string("\xF0\xFF\xFF\x7F", 4) + "rest";
  ExpectRefused(model, "normaliser's map is damaged");
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string blob = MapOfOneEntry();
    for (int k = 0; k < 6; ++k) blob[4 + random() % (blob.size() - 4)] = static_cast<char>(random());
    const auto map = Charsmap::Parse(blob);
    ASSERT_TRUE(map.ok());
    for (const char* text : {"A", "\xC3\xA4", "zzzzzzzz"}) {
      const Charsmap::Match match = map->Longest(text, 0);
      EXPECT_LE(match.length, std::string_view(text).size());
      EXPECT_TRUE(match.length == 0 || map->MayBeginAt(text, 0));
    }
  }
}

TEST_F(SentencePieceTest, MapsThatBreakCharactersAreSaidSo) {
  SentencePieceModel model = Letters();
  model.charsmap = MapOfOneEntry();
  model.charsmap[model.charsmap.size() - 3] = '\xE4';
  const Status status = Open(model)->Encode("aA").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(Message(status).find("breaks characters"), std::string_view::npos) << status;
}

TEST_F(SentencePieceTest, LyingModelsAreRefusedWithTheirPiece) {
  SentencePieceModel model = Letters();
  model.pieces[4].text = "b";
  ExpectRefused(model, "piece 5 (\"b\") is given twice");
  model = Letters();
  model.pieces[4].text = "";
  ExpectRefused(model, "piece 4 is empty");
  model.pieces[4].text = "\xFF";
  ExpectRefused(model, "piece 4 is not UTF-8");
  model.pieces[4].text = std::string(513, 'a');
  ExpectRefused(model, "piece 4 has 513 bytes");
  model = Letters();
  model.pieces[4].score = std::numeric_limits<float>::quiet_NaN();
  ExpectRefused(model, "piece 4 (\"a\") has no finite score");
  model = Letters();
  model.pieces[0].kind = Kind::kNormal;
  ExpectRefused(model, "has 0 unknown pieces");
  model = Letters();
  model.byte_fallback = true;
  ExpectRefused(model, "no piece for the byte 0");
  model = Letters();
  model.eos_id = 10;
  ExpectRefused(model, "names the id 10 in a vocabulary of 10 pieces");
  model = Letters();
  model.pieces[4].kind = static_cast<Kind>(9);
  ExpectRefused(model, "piece 4 is of the unknown kind 9");
  model.pieces[4].kind = Kind::kUnused;
  ExpectRefused(model, "is marked unused");
  model.pieces[4].kind = Kind::kByte;
  ExpectRefused(model, "not spelled like <0x0A>");
  model = Letters();
  model.algorithm = static_cast<SentencePieceModel::Algorithm>(3);
  ExpectRefused(model, "only unigram (1) and BPE (2)");
}

TEST_F(SentencePieceTest, EveryTruncationIsRefusedOrReadAndFlipsNeverCrash) {
  const std::string content = WriteSentencePiece(Letters());
  for (size_t size = 0; size < content.size(); ++size) {
    const auto opened = TryOpen(content.substr(0, size));
    if (!opened.ok()) continue;
    EXPECT_TRUE((*opened)->Encode("ab ?").ok()) << size;
  }
  std::mt19937 random(6);
  for (int i = 0; i < 300; ++i) {
    std::string flipped = content;
    flipped[random() % flipped.size()] ^= static_cast<char>(1 << random() % 8);
    const auto opened = TryOpen(flipped);
    if (!opened.ok()) continue;
    EXPECT_TRUE((*opened)->Encode("ab ?").ok()) << i;
  }
}

GgufVocabulary LettersOfGguf() {
  GgufVocabulary vocabulary{.file = "tiny.gguf",
                            .model = "llama",
                            .bos_id = 1,
                            .eos_id = 2,
                            .add_bos = true,
                            .add_space_prefix = true};
  for (const SentencePieceModel::Piece& piece : Letters().pieces) {
    vocabulary.tokens.push_back(piece.text);
    vocabulary.scores.push_back(piece.score);
    vocabulary.token_types.push_back(static_cast<int32_t>(piece.kind));
  }
  vocabulary.tokens.push_back("[PAD10]");  // Fills the embedding up.
  vocabulary.scores.push_back(-1000);
  vocabulary.token_types.push_back(5);
  return vocabulary;
}

TEST_F(SentencePieceTest, ModelsWithinGgufFilesGiveTheSameIds) {
  const auto within = MakeGgufTokenizer(LettersOfGguf());
  ASSERT_TRUE(within.ok()) << within.status();
  const std::string text = "ab ab<x>?? ab</s>a";
  EXPECT_EQ(*(*within)->EncodeWithOffsets(text), *Open(Letters())->EncodeWithOffsets(text));
  EXPECT_EQ((*within)->bos_id(), 1);
  EXPECT_TRUE((*within)->adds_bos());
  // And so do the files that are written beside an adapter or a result.
  const auto files = MakeTokenizerFiles(LettersOfGguf());
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->tokenizer_json, "");
  config_ = json::parse(files->tokenizer_config_json);
  const auto written = TryOpen(files->tokenizer_model);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(*(*written)->Encode(text, {.add_bos = true}), *(*within)->Encode(text, {.add_bos = true}));
}

TEST_F(SentencePieceTest, LyingGgufFilesAreRefusedWithTheirKey) {
  const auto refused = [](const GgufVocabulary& vocabulary, std::string_view part) {
    const Status status = MakeGgufTokenizer(vocabulary).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(Message(status).find(part), std::string_view::npos) << part << " in: " << status;
  };
  GgufVocabulary changed = LettersOfGguf();
  changed.scores.pop_back();
  refused(changed,
          "tokenizer.ggml.scores and tokenizer.ggml.token_type have 10 and 11 entries for 11 tokens");
  changed = LettersOfGguf();
  changed.token_types[3] = 7;
  refused(changed, "tokenizer.ggml.token_type[3] is 7");
}

// 89
TEST(CasesSentencePiece, VocabulariesOfLlamaAreRead) {
  const ft::testing::TempDir dir;
  FT_CHECK(WriteFileDurably(dir / "tokenizer.model", WriteSentencePiece(Letters())).ok());
  const auto tokenizer = OpenTokenizer(dir.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(*(*tokenizer)->Encode("ab"), Ids{7});
}

TEST(CasesSentencePiece, AFileOfAnotherKindIsOneSentenceThatSaysWhatToDo) {
  const ft::testing::TempDir dir;
  FT_CHECK(WriteFileDurably(dir / "tokenizer.model", "version https://git-lfs.github.com/spec/v1\n").ok());
  const std::string said(Message(OpenTokenizer(dir.path()).status()));
  EXPECT_NE(said.find("is neither a SentencePiece model nor a tiktoken file; copy or download it again"),
            std::string::npos)
      << said;
}

}  // namespace
}  // namespace ft::tokenizer
