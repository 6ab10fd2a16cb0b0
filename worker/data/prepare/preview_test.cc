#include "worker/data/prepare/preview.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "worker/data/prepare/sample_checks.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"

namespace ft::prepare {
namespace {

using tokenizer::kTinyEndOfText;
using tokenizer::kTinyHello;
using tokenizer::kTinyImEnd;
using tokenizer::kTinyImStart;

class PreviewTest : public ::testing::Test {
 protected:
  PreviewTest() {
    tokenizer::WriteTinyTokenizer(dir_.path(), tokenizer::TinyTokenizerJson(),
                                  tokenizer::TinyTokenizerConfig());
    auto opened = tokenizer::OpenTokenizer(dir_.path());
    FT_CHECK(opened.ok()) << opened.status();
    tokenizer_ = *std::move(opened);
  }
  std::string Render(const std::vector<int32_t>& ids, const std::vector<uint8_t>& loss,
                     const PreviewOptions& options = {}) {
    return RenderSample(*tokenizer_, {ids, loss}, options);
  }
  ft::testing::TempDir dir_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
};

TEST_F(PreviewTest, SupervisedTokensAreMarkedAndSpecialOnesShown) {
  EXPECT_EQ(Render({kTinyImStart, 'q', kTinyHello, kTinyImEnd, '\n'}, {1, 0, 1, 1, 0}),
            "<|im_start|>q⟦hello<|im_end|>⟧\n");
}

TEST_F(PreviewTest, TheFirstTokenIsNeverMarked) { EXPECT_EQ(Render({'a', 'b'}, {1, 1}), "a⟦b⟧"); }

TEST_F(PreviewTest, CharactersOfSeveralTokensStayWhole) {
  EXPECT_EQ(Render({'x', 0xE4, 0xBD, 0xA0}, {0, 1, 1, 1}), "x⟦你⟧");
  EXPECT_EQ(Render({'x', 0xE4, 0xBD}, {0, 1, 1}), "x⟦\xEF\xBF\xBD\xEF\xBF\xBD⟧");
}

TEST_F(PreviewTest, ControlCharactersCannotDriveTheTerminal) {
  EXPECT_EQ(Render({'x', 0x1B, '[', 'J', 0xC2, 0x9B}, {0, 0, 0, 0, 0, 0}), "x<U+001B>[J<U+009B>");
}

TEST_F(PreviewTest, AnsiMarksEndWithEachLine) {
  EXPECT_EQ(Render({'x', 'a', '\n', 'b'}, {0, 1, 1, 1}, {.ansi = true}),
            "x\x1b[1;4ma\x1b[0m\n\x1b[1;4mb\x1b[0m");
}

TEST_F(PreviewTest, TheMiddleOfLongSamplesIsLeftOutAndCounted) {
  const std::vector<int32_t> ids(100, 'a');
  EXPECT_EQ(Render(ids, std::vector<uint8_t>(100, 0), {.max_tokens = 4}), "aa\n... 96 tokens ...\naa");
}

TEST_F(PreviewTest, CharactersAreNeverCutWhereTheMiddleIsLeftOut) {
  // Ten times 你, each of three tokens.
  std::vector<int32_t> ids;
  for (int i = 0; i < 10; ++i) ids.insert(ids.end(), {0xE4, 0xBD, 0xA0});
  const std::vector<uint8_t> loss(ids.size(), 0);
  EXPECT_EQ(Render(ids, loss, {.max_tokens = 8}), "你\n... 24 tokens ...\n你");
  EXPECT_EQ(Render(ids, loss, {.max_tokens = 12}), "你你\n... 18 tokens ...\n你你");
  EXPECT_EQ(Render(ids, loss, {.max_tokens = 2}), "\n... 30 tokens ...\n");
}

TEST_F(PreviewTest, UnsupervisedStopIsSeen) {
  const auto has = [&](const std::vector<int32_t>& ids, const std::vector<uint8_t>& loss) {
    return HasUnsupervisedStop(Sample{ids, loss}, *tokenizer_);
  };
  EXPECT_FALSE(has({'q', 'a', kTinyImEnd}, {0, 1, 1}));
  EXPECT_TRUE(has({'q', 'a', kTinyImEnd}, {0, 1, 0}));
  // A line break after the stop belongs to the answer in some templates.
  EXPECT_FALSE(has({'q', 'a', kTinyImEnd, '\n', kTinyImStart}, {0, 1, 1, 1, 0}));
  EXPECT_TRUE(has({'q', 'a', kTinyImEnd, 'q', 'b', kTinyImEnd}, {0, 1, 1, 0, 1, 0}));
}

TEST_F(PreviewTest, DoubledBosIsSeen) {
  EXPECT_TRUE(HasDoubledBos(Sample{{kTinyEndOfText, kTinyEndOfText, 'a'}, {0, 0, 1}}, *tokenizer_));
  EXPECT_FALSE(HasDoubledBos(Sample{{kTinyEndOfText, 'a', kTinyEndOfText}, {0, 0, 1}}, *tokenizer_));
}

}  // namespace
}  // namespace ft::prepare
