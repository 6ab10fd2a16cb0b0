// tokenizer.json beyond byte level: vocabularies of characters, Metaspace, byte fallback, Unigram, normalizers. The byte level
// is in tokenizer_test.cc; tests/checks/tokenise_test.py compares with the library itself.
#include "worker/data/tokenizer/hf_tokenizer_json.h"

#include <gtest/gtest.h>

#include "core/base/check.h"
#include "worker/data/tokenizer/tiny_sentencepiece.h"

namespace ft::tokenizer {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;
using Tokens = std::vector<EncodedToken>;

const std::string kMark = "\u2581";

// As Llama 2's: the mark in front and for spaces by normalizers, unknown characters as bytes. Ids: <unk> 0, <s> 1, bytes
// from 2 on, then the mark 258, a 259, b 260, the mark with a 261, ab 262.
json LlamaJson() {
  json vocab = {{"<unk>", 0}, {"<s>", 1}};
  const SentencePieceModel bytes = TinySentencePiece({}, /*bytes=*/true);
  for (size_t byte = 0; byte < 256; ++byte) vocab[bytes.pieces[3 + byte].text] = 2 + byte;
  int id = 258;
  for (const std::string& piece : {kMark, std::string("a"), std::string("b"), kMark + "a", std::string("ab")})
    vocab[piece] = id++;
  json root;
  root["added_tokens"] = json::array({{{"id", 0}, {"content", "<unk>"}, {"special", true}},
                                      {{"id", 1}, {"content", "<s>"}, {"special", true}}});
  root["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       json::array({{{"type", "Prepend"}, {"prepend", kMark}},
                    {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kMark}}})}};
  root["decoder"] = {
      {"type", "Sequence"},
      {"decoders", json::array({{{"type", "Replace"}, {"pattern", {{"String", kMark}}}, {"content", " "}},
                                {{"type", "ByteFallback"}},
                                {{"type", "Fuse"}},
                                {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}})}};
  root["model"] = {{"type", "BPE"},    {"unk_token", "<unk>"},
                   {"fuse_unk", true}, {"byte_fallback", true},
                   {"vocab", vocab},   {"merges", json::array({kMark + " a", "a b"})}};
  return root;
}

std::unique_ptr<Tokenizer> Make(const json& root) {
  auto made = MakeTokenizer(root, "tokenizer.json", {});
  FT_CHECK(made.ok()) << made.status();
  return *std::move(made);
}

json Metaspace(const std::string& scheme, bool split) {
  json root = LlamaJson();
  root["normalizer"] = nullptr;
  root["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", kMark}, {"prepend_scheme", scheme}, {"split", split}};
  root["decoder"] = {{"type", "Metaspace"}, {"replacement", kMark}, {"prepend_scheme", scheme}};
  return root;
}

TEST(HfTokenizerJsonTest, CharactersWithPrependAndReplace) {
  const auto tokenizer = Make(LlamaJson());
  EXPECT_EQ(*tokenizer->EncodeWithOffsets("a ab\u00e9"),
            (Tokens{{261, 0, 1}, {261, 1, 3}, {260, 3, 4}, {2 + 0xC3, 4, 5}, {2 + 0xA9, 5, 6}}));
  EXPECT_EQ(tokenizer->Decode(*tokenizer->Encode("a ab\u00e9")), "a ab\u00e9");
  EXPECT_EQ(*tokenizer->Encode("ab<s>ab"), (Ids{261, 260, 1, 261, 260}));
  EXPECT_EQ(*tokenizer->Encode(""), Ids());
}

// A token that is looked for in the normalised text is spelled normalised there.
TEST(HfTokenizerJsonTest, NormalizedAddedTokensAreNormalisedThemselves) {
  json root = LlamaJson();
  root["added_tokens"][1]["normalized"] = true;
  EXPECT_EQ(*Make(root)->Encode("<s>a"), (Ids{1, 259}));
}

TEST(HfTokenizerJsonTest, MetaspacePutsItsMarkWhereItsSchemeSays) {
  EXPECT_EQ(*Make(Metaspace("always", false))->Encode("a<s>a b"), (Ids{261, 1, 261, 258, 260}));
  EXPECT_EQ(*Make(Metaspace("first", false))->Encode("a<s>a b"), (Ids{261, 1, 259, 258, 260}));
  EXPECT_EQ(*Make(Metaspace("never", true))->Encode("a<s>a b"), (Ids{259, 1, 259, 258, 260}));
  EXPECT_EQ(*Make(Metaspace("always", true))->EncodeWithOffsets(" a a"), (Tokens{{261, 0, 2}, {261, 2, 4}}));
  EXPECT_EQ(Make(Metaspace("always", false))->Decode(Ids{261, 261}), "a a");
  EXPECT_EQ(Make(Metaspace("never", false))->Decode(Ids{261, 261}), " a a");
}

TEST(HfTokenizerJsonTest, UnigramTakesTheBestPath) {
  json root = Metaspace("never", false);
  root["model"] = {{"type", "Unigram"}, {"unk_id", 0}, {"byte_fallback", false}};
  root["model"]["vocab"] =
      json::array({{"<unk>", 0.0}, {"a", -3.0}, {"b", -3.0}, {"ab", -4.0}, {kMark, -1.0}});
  root["added_tokens"] = json::array();
  EXPECT_EQ(*Make(root)->EncodeWithOffsets("ab a??"), (Tokens{{3, 0, 2}, {4, 2, 3}, {1, 3, 4}, {0, 4, 6}}));
}

TEST(HfTokenizerJsonTest, NormalizersFollowEachOther) {
  json root = Metaspace("never", false);
  root["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       json::array(
           {{{"type", "NFKC"}}, {{"type", "Replace"}, {"pattern", {{"Regex", "x+"}}}, {"content", "b"}}})}};
  // U+FF41 is a full-width a.
  EXPECT_EQ(*Make(root)->EncodeWithOffsets("\uff41xxa"), (Tokens{{262, 0, 5}, {259, 5, 6}}));
}

TEST(HfTokenizerJsonTest, NormalizersThatMakeATextGrowWithoutEndAreStopped) {
  json root = LlamaJson();
  for (int i = 0; i < 4; ++i) {
    root["normalizer"]["normalizers"].push_back(
        {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(500, 'a')}});
  }
  EXPECT_TRUE(absl::IsResourceExhausted(Make(root)->Encode("aaaa").status()));
}

TEST(HfTokenizerJsonTest, LyingFilesAreRefusedWithTheirKey) {
  const auto refused = [](const json& root, std::string_view part) {
    const Status status = MakeTokenizer(root, "tokenizer.json", {}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(Message(status).find(part), std::string_view::npos) << part << " in: " << status;
  };
  json root = LlamaJson();
  root["normalizer"]["normalizers"][1]["pattern"] = {{"String", ""}};
  refused(root, "normalizer.normalizers[1].pattern is empty");
  root = LlamaJson();
  root["normalizer"]["normalizers"][0]["prepend"] = std::string(513, 'a');
  refused(root, "normalizer.normalizers[0].prepend is longer than 512 bytes");
  root = LlamaJson();
  root["decoder"]["decoders"][3]["stop"] = 2;
  refused(root, "decoder.decoders[3].content is not supported");
  root = Metaspace("sometimes", false);
  refused(root, "pre_tokenizer.prepend_scheme \"sometimes\" is not supported");
  root = Metaspace("never", false);
  root["model"] = {{"type", "Unigram"}, {"unk_id", 7}, {"vocab", json::array({{"a", -1.0}})}};
  root["added_tokens"] = json::array();
  refused(root, "model.unk_id is not an id of the vocabulary");
  root["model"]["vocab"] = json::array({json::array({"a"})});
  refused(root, "model.vocab[0] is not a piece with its score");
}

}  // namespace
}  // namespace ft::tokenizer
