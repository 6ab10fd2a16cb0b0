#include "worker/data/readers/number_dates.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

namespace ft::data {
namespace {

struct Moment {
  int year = 0;
  unsigned month = 0, day = 0, weekday = 0;  // Weekday from 0 = Sunday.
  int64_t hour = 0, minute = 0, second = 0, millisecond = 0;
  int64_t total_seconds = 0;  // Since day 0, for elapsed times.
};

// Nothing for numbers that are no date in a spreadsheet: negative, or after the year 9999.
std::optional<Moment> ToMoment(double serial, bool with_fraction, DateSystem dates) {
  if (!(serial >= 0) || serial >= 2958466) return std::nullopt;
  const int64_t unit =
      with_fraction ? 1 : 1000;  // Rounded to what is shown, so that 23:59:59.9 becomes midnight.
  const int64_t milliseconds = std::llround(serial * 86400000.0 / static_cast<double>(unit)) * unit;
  const int64_t days = milliseconds / 86400000;
  const int64_t rest = milliseconds % 86400000;
  using std::chrono::sys_days;
  using std::chrono::year;
  // The 1900 system counts a 29 February 1900 that never was; before it, dates lie one day later.
  const sys_days base = dates.from_1904 ? sys_days(year(1904) / 1 / 1)
                        : days < 60     ? sys_days(year(1899) / 12 / 31)
                                        : sys_days(year(1899) / 12 / 30);
  const sys_days day = base + std::chrono::days(days);
  const std::chrono::year_month_day date(day);
  return Moment{.year = static_cast<int>(date.year()),
                .month = static_cast<unsigned>(date.month()),
                .day = static_cast<unsigned>(date.day()),
                .weekday = std::chrono::weekday(day).c_encoding(),
                .hour = rest / 3600000,
                .minute = rest / 60000 % 60,
                .second = rest / 1000 % 60,
                .millisecond = rest % 1000,
                .total_seconds = milliseconds / 1000};
}

constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                      "May",       "June",     "July",     "August",
                                                      "September", "October",  "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};

std::string DateText(const std::string& run, const Moment& at, bool minutes, bool half_day) {
  const bool two = run.size() >= 2;
  const auto number = [&](int64_t value) {
    return two ? fmt::format("{:02}", value) : fmt::format("{}", value);
  };
  switch (run[0]) {
    case 'y': return run.size() <= 2 ? fmt::format("{:02}", at.year % 100) : fmt::format("{:04}", at.year);
    case 'd':
      if (run.size() == 3) return std::string(kDays[at.weekday].substr(0, 3));
      return run.size() >= 4 ? std::string(kDays[at.weekday]) : number(at.day);
    case 'h': return number(half_day ? (at.hour + 11) % 12 + 1 : at.hour);
    case 's': return number(at.second);
    default: break;
  }
  if (minutes) return number(at.minute);
  const std::string_view month = kMonths[at.month - 1];
  if (run.size() == 3) return std::string(month.substr(0, 3));
  if (run.size() == 4) return std::string(month);
  if (run.size() == 5) return std::string(month.substr(0, 1));
  return number(at.month);
}

// Whether the m's at `index` are minutes: hours stand before them or seconds after, with no other date part
// between.
bool AreMinutes(const std::vector<FormatToken>& tokens, size_t index) {
  for (size_t i = index; i-- > 0;) {
    if (tokens[i].part == FormatPart::kDate || tokens[i].part == FormatPart::kElapsed) {
      if (tokens[i].text[0] == 'h') return true;
      break;
    }
  }
  for (size_t i = index + 1; i < tokens.size(); ++i) {
    if (tokens[i].part == FormatPart::kDate) return tokens[i].text[0] == 's';
  }
  return false;
}

std::string HalfDayText(const std::string& kind, bool afternoon) {
  if (kind == "A/P") return afternoon ? "P" : "A";
  if (kind == "AM/PM") return afternoon ? "PM" : "AM";
  return afternoon ? "下午" : "上午";
}

std::string ElapsedText(const std::string& run, const Moment& at) {
  const int64_t value = run[0] == 'h'   ? at.total_seconds / 3600
                        : run[0] == 'm' ? at.total_seconds / 60
                                        : at.total_seconds;
  return run.size() >= 2 ? fmt::format("{:02}", value) : fmt::format("{}", value);
}

}  // namespace

std::optional<std::string> FormatDate(double value, const std::vector<FormatToken>& tokens,
                                      DateSystem dates) {
  const auto has = [&](FormatPart part) {
    return std::any_of(tokens.begin(), tokens.end(),
                       [&](const FormatToken& token) { return token.part == part; });
  };
  const std::optional<Moment> at = ToMoment(value, has(FormatPart::kDigit), dates);
  if (!at) return std::nullopt;
  const bool half_day = has(FormatPart::kHalfDay);
  std::string text, fraction = fmt::format("{:03}", at->millisecond);
  size_t fraction_digits = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const FormatToken& token = tokens[i];
    switch (token.part) {
      case FormatPart::kDate:
        text += DateText(token.text, *at, token.text[0] == 'm' && AreMinutes(tokens, i), half_day);
        break;
      case FormatPart::kElapsed: text += ElapsedText(token.text, *at); break;
      case FormatPart::kHalfDay: text += HalfDayText(token.text, at->hour >= 12); break;
      case FormatPart::kDigit: text += fraction_digits < 3 ? fraction[fraction_digits++] : '0'; break;
      default: text += token.text; break;
    }
  }
  return text;
}

std::optional<double> ParseIsoDate(std::string_view text, DateSystem dates) {
  // 2024-03-01, 2024-03-01T14:30:00, 2024-03-01T14:30:00.5Z; the zone is not looked at, as spreadsheets have
  // none.
  const auto number = [&](size_t begin, size_t size) -> int {
    int value = 0;
    if (text.size() < begin + size) return -1;
    const char* const end = text.data() + begin + size;
    const auto [stop, error] = std::from_chars(text.data() + begin, end, value);
    return error == std::errc() && stop == end ? value : -1;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (year < 0 || month < 0 || day < 0 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  double seconds = 0;
  if (text.size() > 10) {
    const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
    if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || second < 0 || second > 60) return std::nullopt;
    double fraction = 0;
    if (text.size() > 20 && text[19] == '.')
      std::from_chars(text.data() + 19, text.data() + text.size(), fraction);
    seconds = hour * 3600.0 + minute * 60.0 + second + fraction;
  }
  const std::chrono::sys_days base = dates.from_1904
                                         ? std::chrono::sys_days(std::chrono::year(1904) / 1 / 1)
                                         : std::chrono::sys_days(std::chrono::year(1899) / 12 / 30);
  const auto days = static_cast<double>((std::chrono::sys_days(date) - base).count());
  if (days < (dates.from_1904 ? 0 : 61)) return std::nullopt;  // Before, the 1900 system counts otherwise.
  return days + seconds / 86400;
}

}  // namespace ft::data
