#include "worker/data/readers/number_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/status.h"
#include "worker/data/readers/number_dates.h"
#include "worker/data/readers/number_tokens.h"

namespace ft::data {
namespace {

// How a number section is laid out: literals, digits with an optional point, literals.
struct Layout {
  std::string before, after;
  int integer_zeros = 0, integer_digits = 0, fraction_zeros = 0, fraction_digits = 0;
  int exponent_digits = 0;
  char exponent_sign = 0;
  int scale_commas = 0;
  int percents = 0;
  bool grouped = false, general = false, has_point = false, has_digits = false;
};

std::optional<Layout> LayOut(const std::vector<FormatToken>& tokens) {
  Layout layout;
  bool in_digits = false, ended = false, in_fraction = false, in_exponent = false;
  int commas = 0;
  for (const FormatToken& token : tokens) {
    switch (token.part) {
      case FormatPart::kDigit:
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
          ++layout.integer_digits;
          if (token.text == "0") ++layout.integer_zeros;
        }
        break;
      case FormatPart::kComma: ++commas; break;
      case FormatPart::kPoint:
        if (in_fraction || ended) return std::nullopt;
        in_digits = in_fraction = layout.has_point = true;
        break;
      case FormatPart::kExponent:
        in_exponent = true;
        layout.exponent_sign = token.text[0];
        break;
      case FormatPart::kGeneral:
        if (in_digits) return std::nullopt;
        in_digits = layout.general = true;
        break;
      default:
        ended = in_digits;
        (in_digits ? layout.after : layout.before) += token.text;
        layout.percents += token.part == FormatPart::kPercent;
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

// A number that is not negative as its 15 significant decimal digits, which is what spreadsheets show and
// round: 0.d1d2d3... times ten to the power of `point`.
struct Decimal {
  std::string digits;  // Empty = 0.
  int point = 0;
};

Decimal ToDecimal(double value) {
  if (value == 0) return {};
  const std::string text = fmt::format("{:.14e}", value);  // d.dddddddddddddde+xx
  const size_t e = text.find('e');
  if (e == std::string::npos) return {};
  return {.digits = text[0] + text.substr(2, e - 2), .point = std::atoi(text.c_str() + e + 1) + 1};
}

// With so many digits after the point, a half rounded away from zero.
std::string Rounded(const Decimal& decimal, int fraction_digits) {
  const int kept = decimal.point + fraction_digits;  // Digits that stay.
  std::string digits;
  if (kept > 0) {
    digits = decimal.digits.substr(0, static_cast<size_t>(kept));
    digits.resize(static_cast<size_t>(kept), '0');
  }
  const bool up = kept >= 0 && static_cast<size_t>(kept) < decimal.digits.size() &&
                  decimal.digits[static_cast<size_t>(kept)] >= '5';
  if (up) {
    size_t i = digits.size();
    while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
    if (i > 0) {
      ++digits[i - 1];
    } else {
      digits.insert(digits.begin(), '1');
    }
  }
  const auto fraction = static_cast<size_t>(fraction_digits);
  if (digits.size() <= fraction) digits.insert(0, fraction + 1 - digits.size(), '0');
  if (fraction == 0) return digits;
  return digits.substr(0, digits.size() - fraction) + "." + digits.substr(digits.size() - fraction);
}

// The exponent, and the mantissa in `decimal`'s place.
std::string TakeExponent(const Layout& layout, int digits, Decimal* decimal) {
  const int step = std::clamp(layout.integer_digits, 1, 30);  // ##0.0E+0 shows powers of a thousand.
  const auto split = [&] {
    int power = decimal->digits.empty() ? 0 : decimal->point - 1;
    if (step > 1) power = (power >= 0 ? power / step : -((step - 1 - power) / step)) * step;
    return power;
  };
  int power = split();
  Decimal mantissa{decimal->digits, decimal->point - power};
  const std::string rounded = Rounded(mantissa, digits);
  if (static_cast<int>(rounded.find('.') == std::string::npos ? rounded.size() : rounded.find('.')) > step) {
    decimal->digits = "1";  // It was rounded up to the next power of ten.
    ++decimal->point;
    power = split();
    mantissa = {decimal->digits, decimal->point - power};
  }
  *decimal = std::move(mantissa);
  const std::string_view sign = power < 0 ? "-" : layout.exponent_sign == '+' ? "+" : "";
  return fmt::format("E{}{:0{}}", sign, std::abs(power), std::clamp(layout.exponent_digits, 1, 3));
}

std::string FormatLaidOut(double value, const Layout& layout) {
  if (!layout.has_digits) return layout.before;
  Decimal decimal = ToDecimal(value);
  const int64_t shift = int64_t{2} * layout.percents - int64_t{3} * layout.scale_commas;
  if (std::abs(shift) > 100) return FormatGeneral(value);  // No person writes such a code.
  decimal.point += static_cast<int>(shift);
  if (layout.general)
    return layout.before + FormatGeneral(value * std::pow(100.0, layout.percents)) + layout.after;
  const int digits = std::min(layout.fraction_digits, 30);
  const std::string exponent = layout.exponent_sign == 0 ? "" : TakeExponent(layout, digits, &decimal);
  const std::string fixed = Rounded(decimal, digits);
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

// Whole numbers with text between the digits: 000-0000, (000) 000-0000. Nothing when the code is no such.
std::optional<std::string> FormatSpread(double value, const std::vector<FormatToken>& tokens) {
  const bool plain = std::all_of(tokens.begin(), tokens.end(), [](const FormatToken& token) {
    return token.part == FormatPart::kLiteral || token.part == FormatPart::kDigit;
  });
  if (!plain || tokens.size() > 64) return std::nullopt;
  std::string digits = Rounded(ToDecimal(value), 0), shown;
  const auto first = std::find_if(tokens.begin(), tokens.end(),
                                  [](const FormatToken& token) { return token.part == FormatPart::kDigit; });
  for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
    if (token->part == FormatPart::kLiteral) {
      shown.insert(0, token->text);
      continue;
    }
    const bool last = std::next(token).base() == first;  // The rest of the digits goes in front.
    if (last && !digits.empty()) {
      shown.insert(0, digits);
      digits.clear();
    } else if (!digits.empty()) {
      shown.insert(shown.begin(), digits.back());
      digits.pop_back();
    } else if (token->text == "0") {
      shown.insert(shown.begin(), '0');
    }
  }
  return shown;
}

// A fraction's code: "# ?/?", "?/?", "# ??/100". Nothing when it is none.
struct FractionLayout {
  bool whole = false;       // The whole part stands apart.
  int64_t most = 9;         // The largest denominator,
  int64_t denominator = 0;  // or the only one.
};

std::optional<FractionLayout> LayOutFraction(std::string_view section) {
  std::string code(section);
  std::erase(code, '\\');  // Before the blank.
  const size_t slash = code.find('/');
  if (slash == std::string::npos) return std::nullopt;
  constexpr std::string_view kPlaces = "#0?";
  const std::string left = code.substr(0, slash), right = code.substr(slash + 1);
  const size_t gap = left.find(' ');
  const std::string numerator = gap == std::string::npos ? left : left.substr(left.rfind(' ') + 1);
  const std::string whole = gap == std::string::npos ? "" : left.substr(0, gap);
  const auto only_places = [&](const std::string& text) {
    return text.find_first_not_of(kPlaces) == std::string::npos;
  };
  if (numerator.empty() || right.empty() || !only_places(numerator) || !only_places(whole))
    return std::nullopt;
  FractionLayout layout{.whole = !whole.empty()};
  if (only_places(right) && right.size() <= 3) {
    for (size_t i = 1; i < right.size(); ++i) layout.most = layout.most * 10 + 9;
    return layout;
  }
  const auto [stop, error] = std::from_chars(right.data(), right.data() + right.size(), layout.denominator);
  const bool number = error == std::errc() && stop == right.data() + right.size();
  if (!number || layout.denominator < 1 || layout.denominator > 9999) return std::nullopt;
  return layout;
}

std::optional<std::string> FormatFraction(double value, const FractionLayout& layout) {
  if (value >= 1e12) return std::nullopt;
  double whole = layout.whole ? std::floor(value) : 0;
  const double rest = value - whole;
  int64_t denominator = layout.denominator, numerator = std::llround(rest * static_cast<double>(denominator));
  double nearest = 2;
  for (int64_t d = 1; layout.denominator == 0 && d <= layout.most; ++d) {
    const int64_t n = std::llround(rest * static_cast<double>(d));
    const double error = std::abs(rest - static_cast<double>(n) / static_cast<double>(d));
    if (error + 1e-12 >= nearest) continue;
    nearest = error;
    numerator = n;
    denominator = d;
  }
  if (!layout.whole) return StrCat(numerator, "/", denominator);
  if (numerator == denominator) {
    whole += 1;
    numerator = 0;
  }
  const auto units = static_cast<int64_t>(whole);
  if (numerator == 0) return StrCat(units);
  return units == 0 ? StrCat(numerator, "/", denominator) : StrCat(units, " ", numerator, "/", denominator);
}

bool HoldsNoCase(std::string_view text, std::string_view lower) {
  const auto found = std::search(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
  return found != text.end();
}

// A number without its sign by a section; nothing when that holds what is not interpreted.
std::optional<std::string> FormatSection(double value, std::string_view section, DateSystem dates) {
  const std::string skeleton = FormatSkeleton(section);
  const bool calendar = skeleton.find_first_of("yYdD") != std::string::npos;
  if (const auto fraction = LayOutFraction(section)) return FormatFraction(std::abs(value), *fraction);
  // Years of eras and names of days in other calendars.
  if (calendar && skeleton.find_first_of("eEgGbBaA") != std::string::npos &&
      !HoldsNoCase(skeleton, "am/pm") && !HoldsNoCase(skeleton, "a/p"))
    return std::nullopt;
  const auto tokens = TokeniseFormat(section);
  if (!tokens) return std::nullopt;
  const bool date = std::any_of(tokens->begin(), tokens->end(), [](const FormatToken& token) {
    return token.part == FormatPart::kDate || token.part == FormatPart::kElapsed ||
           token.part == FormatPart::kHalfDay;
  });
  if (date) return FormatDate(value, *tokens, dates);
  if (const std::optional<Layout> layout = LayOut(*tokens)) return FormatLaidOut(std::abs(value), *layout);
  return FormatSpread(std::abs(value), *tokens);
}

std::optional<std::string> Interpret(double value, std::string_view code, DateSystem dates) {
  std::vector<std::string_view> sections = FormatSections(code);
  const auto first = TakeCondition(&sections[0]);
  if (first) {
    if (value < 0) return std::nullopt;  // Spreadsheets differ in the sign they show.
    if (first->Holds(value)) return FormatSection(value, sections[0], dates);
    if (sections.size() == 1) return std::nullopt;
    const auto second = TakeCondition(&sections[1]);
    if (!second || second->Holds(value)) return FormatSection(value, sections[1], dates);
    return sections.size() > 2 ? FormatSection(value, sections[2], dates) : std::nullopt;
  }
  size_t chosen = 0;
  if (value < 0 && sections.size() >= 2) chosen = 1;
  if (value == 0 && sections.size() >= 3) chosen = 2;
  const std::optional<std::string> shown = FormatSection(value, sections[chosen], dates);
  // With a section of its own a negative number shows only what that section writes.
  if (shown && value < 0 && chosen == 0) return "-" + *shown;
  return shown;
}

}  // namespace

std::string_view BuiltInFormat(int id) {
  switch (id) {
    case 1: return "0";
    case 2: return "0.00";
    case 3: return "#,##0";
    case 4: return "#,##0.00";
    case 9: return "0%";
    case 10: return "0.00%";
    case 11: return "0.00E+00";
    case 12: return "# ?/?";
    case 13:
      return "# ?"
             "?/?"
             "?";  // Apart, since two question marks and a slash are a trigraph.
    case 14: return "yyyy-mm-dd";
    case 15: return "d-mmm-yy";
    case 16: return "d-mmm";
    case 17: return "mmm-yy";
    case 18: return "h:mm AM/PM";
    case 19: return "h:mm:ss AM/PM";
    case 20: return "h:mm";
    case 21: return "h:mm:ss";
    case 22: return "yyyy-mm-dd hh:mm";
    case 27:
    case 57: return "yyyy\"年\"m\"月\"";
    case 28:
    case 29: return "m\"月\"d\"日\"";
    case 30: return "m-d-yy";
    case 31: return "yyyy\"年\"m\"月\"d\"日\"";
    case 32: return "h\"时\"mm\"分\"";
    case 33: return "h\"时\"mm\"分\"ss\"秒\"";
    case 37: return "#,##0;(#,##0)";
    case 38: return "#,##0;(#,##0)";
    case 39:
    case 40: return "#,##0.00;(#,##0.00)";
    case 45: return "mm:ss";
    case 46: return "[h]:mm:ss";
    case 47: return "mm:ss.0";
    case 48: return "##0.0E+0";
    case 58: return "m\"月\"d\"日\"";
    default: return "General";
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

std::string FormatNumber(double value, std::string_view code, DateSystem dates, bool* plain) {
  if (plain != nullptr) *plain = false;
  if (code == "@") return FormatGeneral(value);
  const std::optional<std::string> shown = Interpret(value, code, dates);
  if (plain != nullptr) *plain = !shown || HoldsNoCase(code, "[dbnum");  // Their digits are not Chinese here.
  if (shown) return *shown;
  const bool calendar = FormatSkeleton(code).find_first_of("yYdD") != std::string::npos;
  if (calendar) {
    if (const auto date = FormatDate(value, *TokeniseFormat("yyyy-mm-dd"), dates)) return *date;
  }
  return FormatGeneral(value);
}

}  // namespace ft::data
