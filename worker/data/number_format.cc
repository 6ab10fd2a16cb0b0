#include "worker/data/number_format.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace ft::data {
namespace {

enum class Part {
  kLiteral,
  kDigit,  // 0, # or ?
  kPoint,
  kComma,
  kPercent,
  kExponent,  // E+ or E-
  kDate,      // y m d h s runs, with `text` the run
  kElapsed,   // [h] [m] [s]
  kHalfDay,   // AM/PM
  kGeneral,
};

struct Token {
  Part part;
  std::string text;
};

bool StartsWithNoCase(std::string_view text, std::string_view lower) {
  if (text.size() < lower.size()) return false;
  return std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
    return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
  });
}

bool IsDateLetter(char c) { return std::string_view("ymdhsYMDHS").find(c) != std::string_view::npos; }

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// What stands in brackets: a currency, elapsed time, a colour. False for a condition, which is not
// interpreted.
bool TakeBracket(std::string_view inside, std::vector<Token>* tokens) {
  if (inside.empty()) return true;
  if (inside[0] == '<' || inside[0] == '>' || inside[0] == '=') return false;
  if (inside[0] == '$') {
    const std::string_view symbol = inside.substr(
        1, inside.find('-') == std::string_view::npos ? std::string_view::npos : inside.find('-') - 1);
    if (!symbol.empty()) tokens->push_back({Part::kLiteral, std::string(symbol)});
    return true;
  }
  const char first = Lower(inside[0]);
  const bool one_letter =
      std::all_of(inside.begin(), inside.end(), [&](char c) { return Lower(c) == first; });
  if (one_letter && (first == 'h' || first == 'm' || first == 's')) {
    tokens->push_back({Part::kElapsed, std::string(inside.size(), first)});
  }
  return true;
}

// Takes one token from the front of `code`. False when the format is beyond what is interpreted here.
bool TakeToken(std::string_view* code, std::vector<Token>* tokens) {
  const auto take = [&](size_t size, Part part, std::string text) {
    tokens->push_back({part, std::move(text)});
    code->remove_prefix(std::min(size, code->size()));
    return true;
  };
  const char c = code->front();
  if (StartsWithNoCase(*code, "general")) return take(7, Part::kGeneral, "");
  if (StartsWithNoCase(*code, "am/pm")) return take(5, Part::kHalfDay, "AM/PM");
  if (StartsWithNoCase(*code, "a/p")) return take(3, Part::kHalfDay, "A/P");
  if (code->starts_with("上午/下午")) return take(13, Part::kHalfDay, "上午/下午");
  if (c == '"') {
    const size_t end = code->find('"', 1);
    if (end == std::string_view::npos) return false;
    return take(end + 1, Part::kLiteral, std::string(code->substr(1, end - 1)));
  }
  if (c == '[') {
    const size_t end = code->find(']');
    if (end == std::string_view::npos || !TakeBracket(code->substr(1, end - 1), tokens)) return false;
    code->remove_prefix(end + 1);
    return true;
  }
  if (c == '\\') return take(2, Part::kLiteral, std::string(code->substr(1, 1)));
  if (c == '_') return take(2, Part::kLiteral, "");  // A gap as wide as a character; text has none.
  if (c == '*') return take(2, Part::kLiteral, "");
  if (c == '0' || c == '#' || c == '?') return take(1, Part::kDigit, std::string(1, c));
  if (c == '.') return take(1, Part::kPoint, ".");
  if (c == ',') return take(1, Part::kComma, ",");
  if (c == '%') return take(1, Part::kPercent, "%");
  if ((c == 'E' || c == 'e') && code->size() > 1 && ((*code)[1] == '+' || (*code)[1] == '-')) {
    return take(2, Part::kExponent, std::string(code->substr(1, 1)));
  }
  if (c == '@') return false;
  if (IsDateLetter(c)) {
    size_t run = 1;
    while (run < code->size() && Lower((*code)[run]) == Lower(c)) ++run;
    return take(run, Part::kDate, std::string(run, Lower(c)));
  }
  return take(1, Part::kLiteral, std::string(1, c));
}

std::optional<std::vector<Token>> Tokenise(std::string_view code) {
  std::vector<Token> tokens;
  while (!code.empty()) {
    if (!TakeToken(&code, &tokens)) return std::nullopt;
  }
  return tokens;
}

// The sections of a code, cut at semicolons outside quotes and escapes.
std::vector<std::string_view> Sections(std::string_view code) {
  std::vector<std::string_view> sections;
  size_t begin = 0;
  bool quoted = false;
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] == '"') quoted = !quoted;
    if (code[i] == '\\' && !quoted) ++i;
    if (i < code.size() && code[i] == ';' && !quoted) {
      sections.push_back(code.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  sections.push_back(code.substr(std::min(begin, code.size())));
  return sections;
}

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
    case 'y':
      return run.size() <= 2 ? fmt::format("{:02}", at.year % 100) : fmt::format("{:04}", at.year);
    case 'd':
      if (run.size() == 3) return std::string(kDays[at.weekday].substr(0, 3));
      return run.size() >= 4 ? std::string(kDays[at.weekday]) : number(at.day);
    case 'h':
      return number(half_day ? (at.hour + 11) % 12 + 1 : at.hour);
    case 's':
      return number(at.second);
    default:
      break;
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
bool AreMinutes(const std::vector<Token>& tokens, size_t index) {
  for (size_t i = index; i-- > 0;) {
    if (tokens[i].part == Part::kDate || tokens[i].part == Part::kElapsed) {
      if (tokens[i].text[0] == 'h') return true;
      break;
    }
  }
  for (size_t i = index + 1; i < tokens.size(); ++i) {
    if (tokens[i].part == Part::kDate) return tokens[i].text[0] == 's';
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

std::optional<std::string> FormatDate(double value, const std::vector<Token>& tokens, DateSystem dates) {
  const auto has = [&](Part part) {
    return std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) { return token.part == part; });
  };
  const std::optional<Moment> at = ToMoment(value, has(Part::kDigit), dates);
  if (!at) return std::nullopt;
  const bool half_day = has(Part::kHalfDay);
  std::string text, fraction = fmt::format("{:03}", at->millisecond);
  size_t fraction_digits = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    switch (token.part) {
      case Part::kDate:
        text += DateText(token.text, *at, token.text[0] == 'm' && AreMinutes(tokens, i), half_day);
        break;
      case Part::kElapsed:
        text += ElapsedText(token.text, *at);
        break;
      case Part::kHalfDay:
        text += HalfDayText(token.text, at->hour >= 12);
        break;
      case Part::kDigit:
        text += fraction_digits < 3 ? fraction[fraction_digits++] : '0';
        break;
      default:
        text += token.text;
        break;
    }
  }
  return text;
}

// How a number section is laid out: literals, digits with an optional point, literals.
struct Layout {
  std::string before, after;
  int integer_zeros = 0, fraction_zeros = 0, fraction_digits = 0;
  int exponent_digits = 0;
  char exponent_sign = 0;
  int scale_commas = 0;
  int percents = 0;
  bool grouped = false, general = false, has_point = false, has_digits = false;
};

std::optional<Layout> LayOut(const std::vector<Token>& tokens) {
  Layout layout;
  bool in_digits = false, ended = false, in_fraction = false, in_exponent = false;
  int commas = 0;
  for (const Token& token : tokens) {
    switch (token.part) {
      case Part::kDigit:
        if (ended) return std::nullopt;  // Text between digits.
        in_digits = true;
        if (in_exponent) {
          ++layout.exponent_digits;
        } else if (in_fraction) {
          ++layout.fraction_digits;
          if (token.text == "0") layout.fraction_zeros = layout.fraction_digits;
        } else {
          layout.grouped = layout.grouped || commas > 0;
          commas = 0;
          if (token.text == "0") ++layout.integer_zeros;
        }
        break;
      case Part::kComma:
        ++commas;
        break;
      case Part::kPoint:
        if (in_fraction || ended) return std::nullopt;
        in_digits = in_fraction = layout.has_point = true;
        break;
      case Part::kExponent:
        in_exponent = true;
        layout.exponent_sign = token.text[0];
        break;
      case Part::kGeneral:
        if (in_digits) return std::nullopt;
        in_digits = layout.general = true;
        break;
      default:
        ended = in_digits;
        (in_digits ? layout.after : layout.before) += token.text;
        layout.percents += token.part == Part::kPercent;
        break;
    }
  }
  layout.scale_commas = commas;
  layout.has_digits = in_digits;
  return layout;
}

std::string Grouped(const std::string& digits) {
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string FormatLaidOut(double value, const Layout& layout) {
  if (!layout.has_digits) return layout.before;
  value *= std::pow(100.0, layout.percents) / std::pow(1000.0, layout.scale_commas);
  if (layout.general) return layout.before + FormatGeneral(value) + layout.after;
  const int digits = std::min(layout.fraction_digits, 30);
  std::string exponent;
  if (layout.exponent_sign != 0) {
    const std::string scientific = fmt::format("{:.{}e}", value, digits);
    const size_t e = scientific.find('e');
    if (e == std::string::npos) return FormatGeneral(value);
    const int power = std::stoi(scientific.substr(e + 1));
    const std::string_view sign = power < 0 ? "-" : layout.exponent_sign == '+' ? "+" : "";
    exponent = fmt::format("E{}{:0{}}", sign, std::abs(power), std::clamp(layout.exponent_digits, 1, 3));
    value = std::stod(scientific.substr(0, e));
  }
  const std::string fixed = fmt::format("{:.{}f}", value, digits);
  const size_t point = fixed.find('.');
  std::string integer = fixed.substr(0, point);
  std::string fraction = point == std::string::npos ? "" : fixed.substr(point + 1);
  while (static_cast<int>(fraction.size()) > layout.fraction_zeros && fraction.ends_with('0'))
    fraction.pop_back();
  if (integer == "0" && layout.integer_zeros == 0) integer.clear();
  const auto zeros = static_cast<size_t>(std::clamp(layout.integer_zeros, 0, 30));
  if (integer.size() < zeros) integer.insert(0, zeros - integer.size(), '0');
  if (layout.grouped) integer = Grouped(integer);
  return layout.before + integer + (layout.has_point ? "." : "") + fraction + exponent + layout.after;
}

}  // namespace

std::string_view BuiltInFormat(int id) {
  switch (id) {
    case 1:
      return "0";
    case 2:
      return "0.00";
    case 3:
      return "#,##0";
    case 4:
      return "#,##0.00";
    case 9:
      return "0%";
    case 10:
      return "0.00%";
    case 11:
      return "0.00E+00";
    case 14:
      return "yyyy-mm-dd";
    case 15:
      return "d-mmm-yy";
    case 16:
      return "d-mmm";
    case 17:
      return "mmm-yy";
    case 18:
      return "h:mm AM/PM";
    case 19:
      return "h:mm:ss AM/PM";
    case 20:
      return "h:mm";
    case 21:
      return "h:mm:ss";
    case 22:
      return "yyyy-mm-dd hh:mm";
    case 27:
    case 57:
      return "yyyy\"年\"m\"月\"";
    case 28:
    case 29:
      return "m\"月\"d\"日\"";
    case 30:
      return "m-d-yy";
    case 31:
      return "yyyy\"年\"m\"月\"d\"日\"";
    case 32:
      return "h\"时\"mm\"分\"";
    case 33:
      return "h\"时\"mm\"分\"ss\"秒\"";
    case 37:
      return "#,##0;(#,##0)";
    case 38:
      return "#,##0;(#,##0)";
    case 39:
    case 40:
      return "#,##0.00;(#,##0.00)";
    case 45:
      return "mm:ss";
    case 46:
      return "[h]:mm:ss";
    case 47:
      return "mm:ss.0";
    case 48:
      return "##0.0E+0";
    case 58:
      return "m\"月\"d\"日\"";
    default:
      return "General";
  }
}

std::string FormatGeneral(double value) {
  if (value == 0) return "0";
  if (std::abs(value) >= 1e20 || std::abs(value) < 1e-9) return fmt::format("{:.15g}", value);
  std::string text = fmt::format("{:.15g}", value);
  if (text.find('e') == std::string::npos) return text;
  // Fifteen significant digits without an exponent.
  const int decimals = std::clamp(14 - static_cast<int>(std::floor(std::log10(std::abs(value)))), 0, 30);
  text = fmt::format("{:.{}f}", value, decimals);
  if (text.find('.') != std::string::npos) {
    while (text.ends_with('0')) text.pop_back();
    if (text.ends_with('.')) text.pop_back();
  }
  return text;
}

std::string FormatNumber(double value, std::string_view code, DateSystem dates) {
  const std::vector<std::string_view> sections = Sections(code);
  size_t chosen = 0;
  if (value < 0 && sections.size() >= 2) chosen = 1;
  if (value == 0 && sections.size() >= 3) chosen = 2;
  const std::optional<std::vector<Token>> tokens = Tokenise(sections[chosen]);
  if (!tokens) return FormatGeneral(value);
  const bool date = std::any_of(tokens->begin(), tokens->end(), [](const Token& token) {
    return token.part == Part::kDate || token.part == Part::kElapsed || token.part == Part::kHalfDay;
  });
  if (date) return FormatDate(value, *tokens, dates).value_or(FormatGeneral(value));
  const std::optional<Layout> layout = LayOut(*tokens);
  if (!layout) return FormatGeneral(value);
  const std::string shown = FormatLaidOut(std::abs(value), *layout);
  // With a section of its own a negative number shows only what that section writes.
  return value < 0 && chosen == 0 ? "-" + shown : shown;
}

}  // namespace ft::data
