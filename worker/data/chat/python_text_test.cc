#include "worker/data/chat/python_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ft::data {
namespace {

using ::testing::HasSubstr;

// As JSON, or what is wrong.
std::string Read(std::string_view text) {
  const auto value = ParsePythonLiteral(text);
  return value.ok() ? value->dump() : std::string(ft::Message(value.status()));
}

TEST(PythonTextTest, LiteralsAreReadAsPythonReadsThem) {
  EXPECT_EQ(Read(" [{'from': 'user', 'value': \"it's\"}, None, True, False] "),
            R"([{"from":"user","value":"it's"},null,true,false])");
  EXPECT_EQ(Read(R"(['a\'b\n\x41\u4e2d\101\U0001F600\q\
c'])"),
            R"(["a'b\nA中A😀\\qc"])");
  EXPECT_EQ(Read(R"('''a'b
c''')"),
            R"("a'b\nc")");
  EXPECT_EQ(Read("r'a\\nb' \"c\" u'd'"), R"("a\\nbcd")");
  EXPECT_EQ(Read("(1, -2.5, 1_000, 1e3, +.5, 000)"), "[1,-2.5,1000,1000.0,0.5,0]");
  EXPECT_EQ(Read("('one')"), R"("one")");
  EXPECT_EQ(Read("('one',)"), R"(["one"])");
  EXPECT_EQ(Read("{'k': 1, 'j': [], 'k': 2,}"), R"({"k":2,"j":[]})");
}

TEST(PythonTextTest, WhatIsNoLiteralIsRefusedAndNeverEvaluated) {
  EXPECT_THAT(Read("__import__('os').system('true')"),
              HasSubstr("this is no Python literal (after 0 bytes)"));
  EXPECT_THAT(Read("[1, 2"), HasSubstr("a comma is missing in a list (after 5 bytes)"));
  EXPECT_THAT(Read("['a' 'b', c]"), HasSubstr("no Python literal"));
  EXPECT_THAT(Read("'abc"), HasSubstr("a text does not end"));
  EXPECT_THAT(Read("'a\nb'"), HasSubstr("a text does not end"));
  EXPECT_THAT(Read("{1: 2}"), HasSubstr("a key of a dictionary is no text"));
  EXPECT_THAT(Read("{'a' 2}"), HasSubstr("a colon is missing"));
  EXPECT_THAT(Read("[] []"), HasSubstr("there is more after the value"));
  EXPECT_THAT(Read("01"), HasSubstr("no number that is read"));
  EXPECT_THAT(Read("99999999999999999999"), HasSubstr("no number that is read"));
  EXPECT_THAT(Read("'\\ud83d'"), HasSubstr("an escape is no character"));
  EXPECT_THAT(Read("'\\xg0'"), HasSubstr("an escape has other digits"));
  EXPECT_THAT(Read("'\\x4"), HasSubstr("an escape is cut off"));
  EXPECT_THAT(Read("'\\N{DIGIT ONE}'"), HasSubstr("characters by name"));
  EXPECT_THAT(Read(""), HasSubstr("a value is missing"));
  EXPECT_THAT(Read(std::string(100000, '[')), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(Read(std::string(100000, '(')), HasSubstr("nested deeper than 64 levels"));
}

TEST(PythonTextTest, ValuesAreWrittenAsPythonWritesThem) {
  const auto written = [](std::string_view json) { return *PythonText(nlohmann::ordered_json::parse(json)); };
  EXPECT_EQ(written(R"({"city": "Paris", "n": 1, "f": 0.1, "e": 1.0, "t": true, "z": null, "l": []})"),
            "{'city': 'Paris', 'n': 1, 'f': 0.1, 'e': 1.0, 't': True, 'z': None, 'l': []}");
  EXPECT_EQ(written(R"(["it's", "\"", "'\"", "a\nb\\", "中"])"), R"(["it's", '"', '\'"', 'a\nb\\', '中'])");
  EXPECT_EQ(written(R"("as it is\n")"), "as it is\n");
}

}  // namespace
}  // namespace ft::data
