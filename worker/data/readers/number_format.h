// A spreadsheet number as its cell shows it: general, fixed and grouped numbers, percentages, exponents,
// currencies, dates and times. Format codes as ECMA-376 part 1, 18.8.30 and 18.8.31 describe them.
//
// Numbers are rounded as spreadsheets do: their 15 significant decimal digits, a half away from zero. Dates
// whose look depends on the reader's country (built-in formats 14 and 22) are written as 2023-11-05 and
// 2023-11-05 14:30. Chinese digits, years of eras, and conditions on negative numbers are not interpreted:
// such numbers are written plainly, such dates as 2023-11-05.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ft::data {

struct DateSystem {
  bool from_1904 = false;  // Day 0 is 1904-01-01 (old Macintosh files) instead of 1899-12-30.
};

// The format code of a built-in number format id; "General" for ids that have none.
std::string_view BuiltInFormat(int id);

// Up to 15 significant digits, no exponent below 1e20.
std::string FormatGeneral(double value);

// `plain`, where given, says whether the sheet shows the number otherwise, because the code is not
// interpreted.
std::string FormatNumber(double value, std::string_view code, DateSystem dates, bool* plain = nullptr);

// The number of a date in ISO 8601, as cells of type d hold it; nothing when it is none.
std::optional<double> ParseIsoDate(std::string_view text, DateSystem dates);

}  // namespace ft::data
