#include "worker/data/readers/text_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace ft::data {
namespace {

using ::testing::HasSubstr;

// "你好，世界" (hello, world) as GB18030 writes it.
constexpr std::string_view kHelloGb = "\xC4\xE3\xBA\xC3\xA3\xAC\xCA\xC0\xBD\xE7";
constexpr std::string_view kHello = "你好，世界";

class TextStreamTest : public ::testing::Test {
 protected:
  // The whole text, or the error's message.
  std::string Read(std::string_view bytes) {
    EXPECT_TRUE(WriteFileDurably(dir_ / "f.txt", bytes).ok());
    auto stream = TextStream::Open(dir_ / "f.txt");
    if (!stream.ok()) return std::string(Message(stream.status()));
    note_ = stream->note();
    std::string text;
    for (;;) {
      auto more = stream->ReadMore(&text);
      if (!more.ok()) return std::string(Message(more.status()));
      if (!*more) return text;
    }
  }
  ft::testing::TempDir dir_;
  std::string note_;
};

TEST_F(TextStreamTest, Utf8IsGivenAsItIsWithoutItsMark) {
  EXPECT_EQ(Read(kHello), kHello);
  EXPECT_EQ(note_, "");
  EXPECT_EQ(Read(StrCat("\xEF\xBB\xBF", kHello)), kHello);
  EXPECT_EQ(note_, "");
  EXPECT_EQ(Read(""), "");
}

TEST_F(TextStreamTest, Gb18030IsConvertedAndSaid) {
  EXPECT_EQ(Read(kHelloGb), kHello);
  EXPECT_EQ(note_, "f.txt: read as GB18030 and converted to UTF-8");
}

TEST_F(TextStreamTest, CharactersAcrossPiecesSurviveConversion) {
  std::string gb = "x", expected = "x";
  for (int i = 0; i < 60000; ++i) {
    gb += kHelloGb;
    expected += kHello;
  }
  EXPECT_EQ(Read(gb), expected);
}

TEST_F(TextStreamTest, Utf16WithAMarkIsConverted) {
  EXPECT_EQ(Read(std::string_view("\xFF\xFE\x60\x4F\x0A\x00", 6)), "你\n");
  EXPECT_EQ(Read(std::string_view("\xFE\xFF\x4F\x60\x00\x0A", 6)), "你\n");
  EXPECT_EQ(note_, "f.txt: read as UTF-16 and converted to UTF-8");
  EXPECT_THAT(Read(std::string_view("\xFF\xFE\x60\x4F\x0A", 5)), HasSubstr("f.txt is broken near byte"));
}

TEST_F(TextStreamTest, MixedEncodingsAreRefusedWithBothLines) {
  EXPECT_THAT(
      Read(StrCat("plain\n", kHello, "\n", kHelloGb, "\n")),
      HasSubstr("f.txt mixes encodings: line 2 is UTF-8, line 3 is not; save the whole file as UTF-8"));
  EXPECT_THAT(Read(StrCat("\"", kHelloGb, "\",\"", kHello, "\"\n")),
              HasSubstr("f.txt mixes encodings: line 1"));
}

TEST_F(TextStreamTest, OtherEncodingsAreRefusedByLine) {
  EXPECT_THAT(Read("one\ncaf\xE9s and na\xEFve\n"),
              HasSubstr("f.txt line 2 is neither UTF-8 nor text in another encoding that is read"));
  EXPECT_THAT(Read("\x80\x81 \xFF\n"), HasSubstr("f.txt line 1 is neither"));
}

TEST_F(TextStreamTest, WhatMayBeSeveralEncodingsIsRefused) {
  // 家 in GB18030, 模 in Big5, 소 in EUC-KR, 社 in EUC-JP: too little to tell.
  EXPECT_THAT(Read("x\n\xBC\xD2\n"), HasSubstr("f.txt line 2 is not UTF-8 and may be GB18030 or Big5 or "
                                               "EUC-KR or EUC-JP; save the file as UTF-8"));
  // Quotes alone are the same in two of them.
  EXPECT_EQ(Read("say \xA1\xB0hi\xA1\xB1\n"), "say “hi”\n");
}

TEST_F(TextStreamTest, ZeroBytesAreRefusedByLine) {
  EXPECT_THAT(Read(std::string_view("a\nb\0c", 5)), HasSubstr("f.txt line 2 holds a zero byte"));
}

}  // namespace
}  // namespace ft::data
