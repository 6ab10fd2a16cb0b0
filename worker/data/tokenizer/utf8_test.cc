#include "worker/data/tokenizer/utf8.h"

#include <gtest/gtest.h>

namespace ft::tokenizer {
namespace {

TEST(Utf8Test, BrokenTextIsFoundAtItsFirstByte) {
  EXPECT_EQ(FirstInvalidUtf8("héllo 你好 😀"), std::nullopt);
  EXPECT_EQ(FirstInvalidUtf8("ab\xC0\x80"), 2u);        // Overlong.
  EXPECT_EQ(FirstInvalidUtf8("a\xED\xA0\x80"), 1u);     // Surrogate.
  EXPECT_EQ(FirstInvalidUtf8("\xF4\x90\x80\x80"), 0u);  // Beyond U+10FFFF.
  EXPECT_EQ(FirstInvalidUtf8("abc\xE4\xBD"), 3u);       // Cut short.
  EXPECT_EQ(FirstInvalidUtf8("\xE0\x80\x80"), 0u);      // Overlong, of three bytes.
  EXPECT_EQ(FirstInvalidUtf8("你\xE4\xBDz"), 3u);
}

// Text is looked at eight bytes at a time.
TEST(Utf8Test, BrokenTextIsFoundWhereverItStands) {
  for (size_t at = 0; at < 20; ++at) {
    std::string text(20, 'a');
    text.insert(at, "\xC3\xA9");
    EXPECT_EQ(FirstInvalidUtf8(text), std::nullopt) << at;
    text[at + 1] = 'z';
    EXPECT_EQ(FirstInvalidUtf8(text), at);
  }
}

TEST(Utf8Test, ReplacementFollowsMaximalSubparts) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xE4\xBDz"), "a\uFFFDz");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\x80\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
}

TEST(Utf8Test, CodePointsGoBothWays) {
  for (const char32_t code : {U'a', U'é', U'你', U'😀', U'\U0010FFFF'}) {
    std::string text;
    AppendUtf8(code, &text);
    EXPECT_EQ(ReadUtf8(text, 0).code, code);
    EXPECT_EQ(ReadUtf8(text, 0).length, text.size());
    EXPECT_EQ(ReadUtf8Before("x" + text, text.size() + 1).code, code);
  }
}

TEST(Utf8StreamerTest, HoldsBackUntilACharacterIsComplete) {
  const std::string text = "a你😀b";
  Utf8Streamer streamer;
  std::string shown;
  for (const char byte : text) {
    const std::string ready = streamer.Push(std::string_view(&byte, 1));
    EXPECT_EQ(FirstInvalidUtf8(ready), std::nullopt);
    shown += ready;
  }
  EXPECT_EQ(shown, text);
  EXPECT_EQ(streamer.Flush(), "");
}

TEST(Utf8StreamerTest, BrokenBytesDoNotBlockTheStream) {
  Utf8Streamer streamer;
  EXPECT_EQ(streamer.Push("\xE4\xBD"), "");
  EXPECT_EQ(streamer.Push("x"), "\uFFFDx");
  EXPECT_EQ(streamer.Push("\xF0"), "");
  EXPECT_EQ(streamer.Flush(), "\uFFFD");
  EXPECT_EQ(streamer.Flush(), "");
}

}  // namespace
}  // namespace ft::tokenizer
