#include "worker/data/readers/number_tokens.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace ft::data {
namespace {

bool StartsWithNoCase(std::string_view text, std::string_view lower) {
  if (text.size() < lower.size()) return false;
  return std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
    return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
  });
}

bool IsDateLetter(char c) { return std::string_view("ymdhsYMDHS").find(c) != std::string_view::npos; }

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// What stands in brackets: a currency, elapsed time, a colour. False for a condition in the middle of a
// section.
bool TakeBracket(std::string_view inside, std::vector<FormatToken>* tokens) {
  if (inside.empty()) return true;
  if (inside[0] == '<' || inside[0] == '>' || inside[0] == '=') return false;
  if (inside[0] == '$') {
    const std::string_view symbol = inside.substr(
        1, inside.find('-') == std::string_view::npos ? std::string_view::npos : inside.find('-') - 1);
    if (!symbol.empty()) tokens->push_back({FormatPart::kLiteral, std::string(symbol)});
    return true;
  }
  const char first = Lower(inside[0]);
  const bool one_letter =
      std::all_of(inside.begin(), inside.end(), [&](char c) { return Lower(c) == first; });
  if (one_letter && (first == 'h' || first == 'm' || first == 's')) {
    tokens->push_back({FormatPart::kElapsed, std::string(inside.size(), first)});
  }
  return true;
}

// Takes one token from the front of `code`. False when the format is beyond what is interpreted here.
bool TakeToken(std::string_view* code, std::vector<FormatToken>* tokens) {
  const auto take = [&](size_t size, FormatPart part, std::string text) {
    tokens->push_back({part, std::move(text)});
    code->remove_prefix(std::min(size, code->size()));
    return true;
  };
  const char c = code->front();
  if (StartsWithNoCase(*code, "general")) return take(7, FormatPart::kGeneral, "");
  if (StartsWithNoCase(*code, "am/pm")) return take(5, FormatPart::kHalfDay, "AM/PM");
  if (StartsWithNoCase(*code, "a/p")) return take(3, FormatPart::kHalfDay, "A/P");
  if (code->starts_with("上午/下午")) return take(13, FormatPart::kHalfDay, "上午/下午");
  if (c == '"') {
    const size_t end = code->find('"', 1);
    if (end == std::string_view::npos) return false;
    return take(end + 1, FormatPart::kLiteral, std::string(code->substr(1, end - 1)));
  }
  if (c == '[') {
    const size_t end = code->find(']');
    if (end == std::string_view::npos || !TakeBracket(code->substr(1, end - 1), tokens)) return false;
    code->remove_prefix(end + 1);
    return true;
  }
  if (c == '\\') return take(2, FormatPart::kLiteral, std::string(code->substr(1, 1)));
  if (c == '_') return take(2, FormatPart::kLiteral, "");  // A gap as wide as a character; text has none.
  if (c == '*') return take(2, FormatPart::kLiteral, "");
  if (c == '0' || c == '#' || c == '?') return take(1, FormatPart::kDigit, std::string(1, c));
  if (c == '.') return take(1, FormatPart::kPoint, ".");
  if (c == ',') return take(1, FormatPart::kComma, ",");
  if (c == '%') return take(1, FormatPart::kPercent, "%");
  if ((c == 'E' || c == 'e') && code->size() > 1 && ((*code)[1] == '+' || (*code)[1] == '-')) {
    return take(2, FormatPart::kExponent, std::string(code->substr(1, 1)));
  }
  if (c == '@') return false;
  if (IsDateLetter(c)) {
    size_t run = 1;
    while (run < code->size() && Lower((*code)[run]) == Lower(c)) ++run;
    return take(run, FormatPart::kDate, std::string(run, Lower(c)));
  }
  return take(1, FormatPart::kLiteral, std::string(1, c));
}

}  // namespace

std::optional<std::vector<FormatToken>> TokeniseFormat(std::string_view code) {
  std::vector<FormatToken> tokens;
  while (!code.empty()) {
    if (!TakeToken(&code, &tokens)) return std::nullopt;
  }
  return tokens;
}

std::vector<std::string_view> FormatSections(std::string_view code) {
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

bool FormatCondition::Holds(double value) const {
  if (comparison == "<") return value < limit;
  if (comparison == "<=") return value <= limit;
  if (comparison == ">") return value > limit;
  if (comparison == ">=") return value >= limit;
  return comparison == "=" ? value == limit : value != limit;
}

std::optional<FormatCondition> TakeCondition(std::string_view* section) {
  // Colours may stand before it.
  std::string_view rest = *section;
  while (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view inside = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    const size_t digits = inside.find_first_not_of("<>=");
    if (digits == 0 || digits == std::string_view::npos) continue;
    FormatCondition condition{.comparison = std::string(inside.substr(0, digits))};
    const char* const last = inside.data() + inside.size();
    const auto [stop, error] = std::from_chars(inside.data() + digits, last, condition.limit);
    if (error != std::errc() || stop != last || digits > 2) return std::nullopt;
    *section = rest;
    return condition;
  }
  return std::nullopt;
}

std::string FormatSkeleton(std::string_view section) {
  std::string skeleton;
  for (size_t i = 0; i < section.size(); ++i) {
    const char c = section[i];
    if (c == '"' || c == '[') {
      i = std::min(section.find(c == '"' ? '"' : ']', i + 1), section.size());
    } else if (c == '\\' || c == '_' || c == '*') {
      ++i;
    } else {
      skeleton += c;
    }
  }
  return skeleton;
}

}  // namespace ft::data
