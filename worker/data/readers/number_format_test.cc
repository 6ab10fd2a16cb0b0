#include "worker/data/readers/number_format.h"

#include <gtest/gtest.h>

namespace ft::data {
namespace {

std::string Shown(double value, std::string_view code) { return FormatNumber(value, code, DateSystem()); }

TEST(NumberFormatTest, GeneralHasFifteenDigitsAndNoExponent) {
  EXPECT_EQ(FormatGeneral(0.1 + 0.2), "0.3");
  EXPECT_EQ(FormatGeneral(42), "42");
  EXPECT_EQ(FormatGeneral(-1.5), "-1.5");
  EXPECT_EQ(FormatGeneral(0.00001), "0.00001");
  EXPECT_EQ(FormatGeneral(12345678901234567.0), "12345678901234568");
  EXPECT_EQ(FormatGeneral(1e20), "1e+20");
}

TEST(NumberFormatTest, FixedGroupedAndPercent) {
  EXPECT_EQ(Shown(3.14159, "0.00"), "3.14");
  EXPECT_EQ(Shown(1234567.5, "#,##0.0"), "1,234,567.5");
  EXPECT_EQ(Shown(0.256, "0%"), "26%");
  EXPECT_EQ(Shown(7, "000"), "007");
  EXPECT_EQ(Shown(0.5, "#.##"), ".5");
  EXPECT_EQ(Shown(1500000, "0.0,,\"M\""), "1.5M");
  EXPECT_EQ(Shown(123456, "0.00E+00"), "1.23E+05");
}

TEST(NumberFormatTest, SectionsSignsAndCurrencies) {
  EXPECT_EQ(Shown(-5, "0"), "-5");
  EXPECT_EQ(Shown(-5, "0;(0)"), "(5)");
  EXPECT_EQ(Shown(0, "0;-0;\"none\""), "none");
  EXPECT_EQ(Shown(5, "[$¥-804]#,##0.00"), "¥5.00");
  EXPECT_EQ(Shown(5, "[Red]0"), "5");
  EXPECT_EQ(Shown(5, "0 \"mg\""), "5 mg");
}

TEST(NumberFormatTest, DatesAndTimes) {
  EXPECT_EQ(Shown(45235, "yyyy-mm-dd"), "2023-11-05");
  EXPECT_EQ(Shown(45235.604166667, "yyyy-mm-dd hh:mm"), "2023-11-05 14:30");
  EXPECT_EQ(Shown(45235, "d-mmm-yy"), "5-Nov-23");
  EXPECT_EQ(Shown(45235, "dddd"), "Sunday");
  EXPECT_EQ(Shown(45235, "yyyy\"年\"m\"月\"d\"日\""), "2023年11月5日");
  EXPECT_EQ(Shown(45235, "[$-804]yyyy\\-m"), "2023-11");
  EXPECT_EQ(Shown(0.75, "h:mm AM/PM"), "6:00 PM");
  EXPECT_EQ(Shown(1.5, "[h]:mm:ss"), "36:00:00");
  EXPECT_EQ(Shown(0.999999999, "h:mm:ss"), "0:00:00");
  EXPECT_EQ(Shown(1, "yyyy-mm-dd"), "1900-01-01");
  EXPECT_EQ(FormatNumber(0, "yyyy-mm-dd", DateSystem{.from_1904 = true}), "1904-01-01");
}

TEST(NumberFormatTest, FractionsConditionsAndTextBetweenDigits) {
  EXPECT_EQ(Shown(0.5, "# ?/?"), "1/2");
  EXPECT_EQ(Shown(1.5, "# ?/?"), "1 1/2");
  EXPECT_EQ(Shown(-2.25,
                  "# ?"
                  "?/?"
                  "?"),
            "-2 1/4");
  EXPECT_EQ(Shown(3, "# ?/?"), "3");
  EXPECT_EQ(Shown(0.99, "# ?/?"), "1");
  EXPECT_EQ(Shown(2.5, "?/?"), "5/2");
  EXPECT_EQ(Shown(0.3, "#\\ ?/4"), "1/4");
  EXPECT_EQ(Shown(7, "[>5]\"many\";0"), "many");
  EXPECT_EQ(Shown(5, "[>5]\"many\";0"), "5");
  EXPECT_EQ(Shown(7, "[Red][<5]\"few\";[<10]\"some\";\"many\""), "some");
  EXPECT_EQ(Shown(70, "[<5]\"few\";[<10]\"some\";\"many\""), "many");
  EXPECT_EQ(Shown(5551234, "000-0000"), "555-1234");
  EXPECT_EQ(Shown(5551234, "(000) 000-0000"), "(000) 555-1234");
  EXPECT_EQ(Shown(12345, "0-0"), "1234-5");
}

TEST(NumberFormatTest, WhatIsNotInterpretedIsWrittenPlainlyAndSaid) {
  const auto plain = [](double value, std::string_view code) {
    bool said = false;
    const std::string shown = FormatNumber(value, code, DateSystem(), &said);
    return shown + (said ? " plainly" : "");
  };
  EXPECT_EQ(plain(-1, "yyyy-mm-dd"), "-1 plainly");
  EXPECT_EQ(plain(45235, "[$-411]ggge\"年\"m\"月\"d\"日\""), "2023-11-05 plainly");
  EXPECT_EQ(plain(3, "[DBNum1][$-804]General"), "3 plainly");
  EXPECT_EQ(plain(-7, "[>5]\"many\";0"), "-7 plainly");
  EXPECT_EQ(plain(1.5, "0.0.0"), "1.5 plainly");
  EXPECT_EQ(plain(1.5, "General"), "1.5");
  EXPECT_EQ(plain(1.5, "@"), "1.5");
  EXPECT_EQ(plain(0.75, "h:mm AM/PM"), "6:00 PM");
}

TEST(NumberFormatTest, IsoDatesBecomeTheirNumber) {
  EXPECT_EQ(ParseIsoDate("2023-11-05", DateSystem()), 45235);
  EXPECT_EQ(ParseIsoDate("2023-11-05T12:00:00Z", DateSystem()), 45235.5);
  EXPECT_EQ(ParseIsoDate("1904-01-01", DateSystem{.from_1904 = true}), 0);
  for (const char* broken :
       {"", "2023-13-05", "2023/11/05", "2023-11-05T25:00:00", "1899-01-01", "soon, perhaps"})
    EXPECT_EQ(ParseIsoDate(broken, DateSystem()), std::nullopt) << broken;
}

}  // namespace
}  // namespace ft::data
