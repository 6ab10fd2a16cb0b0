#include "client/render/sentences.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>

#include "client/render/templates.h"
#include "client/render/width.h"

namespace ft::client {
namespace {

constexpr size_t kLongest = 4096;  // The longest line that is looked at.
constexpr int kDeepest = 8;
constexpr size_t kMostParts = 500;     // Parts of a line; what has more of them is no sentence.
constexpr int kMostTries = 2'000'000;  // Characters compared for a line.
constexpr size_t kMostValues = 10;

struct Value {
  std::string_view text;
  bool translated = false;
};
using Values = std::array<Value, kMostValues>;

// A placeholder at the beginning of a template: its length, 0 where none stands there.
size_t PlaceholderAt(std::string_view pattern, int* number, char* kind) {
  const bool counts = pattern.starts_with("{#");
  const size_t digit = counts ? 2 : 1;
  if (pattern.size() < digit + 2 || std::isdigit(static_cast<unsigned char>(pattern[digit])) == 0) return 0;
  const bool raw = pattern[0] == '{' && pattern[digit + 1] == '}';
  if (!raw && !(pattern[0] == '<' && pattern[digit + 1] == '>')) return 0;
  *number = pattern[digit] - '0';
  *kind = counts ? '#' : pattern[0];
  return digit + 2;
}

bool IsNumber(std::string_view text) {
  return std::isdigit(static_cast<unsigned char>(text.back())) != 0 &&
         text.find_first_not_of("0123456789.,-+e") == std::string_view::npos;
}

// A value that stands for several parts of a text is none: those are looked at one by one before.
bool HoldsParts(std::string_view value, bool is_first) {
  const bool is_quoted = value.size() >= 2 && (value[0] == '"' || value[0] == '\'') &&
                         value.find(value[0], 1) == value.size() - 1;
  if (is_quoted) return false;
  return value.find("; ") != std::string_view::npos ||
         (is_first && value.find(": ") != std::string_view::npos);
}

// A value that is a state of the API is said as such.
std::string_view StateOr(std::string_view value) {
  for (const Template& state : StateWords()) {
    if (state.english == value) return state.chinese;
  }
  return value;
}

// Whether all of `text` has the template's form. A placeholder takes as little as it can. False when no tries are left.
bool Matches(std::string_view pattern, std::string_view text, Values& values, int& tries) {
  int number = 0;
  char kind = 0;
  while (!pattern.empty()) {
    const size_t length = PlaceholderAt(pattern, &number, &kind);
    if (--tries < 0) return false;
    if (length == 0) {
      if (text.empty() || text[0] != pattern[0]) return false;
      pattern.remove_prefix(1);
      text.remove_prefix(1);
      continue;
    }
    pattern.remove_prefix(length);
    // Up to where the next literal part stands; that part is never empty but at the end.
    const size_t next = std::min(pattern.find_first_of("{<"), pattern.size());
    const std::string_view literal = next == 0 ? pattern.substr(0, 1) : pattern.substr(0, next);
    for (size_t end = pattern.empty() ? text.size() : text.find(literal, 1);
         end != std::string_view::npos && end > 0;
         end = pattern.empty() ? std::string_view::npos : text.find(literal, end + 1)) {
      const std::string_view taken = text.substr(0, end);
      if (kind == '#' && !IsNumber(taken)) break;
      values[static_cast<size_t>(number)] = {taken, kind == '<'};
      if (Matches(pattern, text.substr(end), values, tries)) return true;
    }
    return false;
  }
  return text.empty();
}

class Translator {
 public:
  // Nothing where no template fits.
  std::optional<std::string> Translate(std::string_view text, int depth = 0) {
    if (text.empty() || text.size() > kLongest || depth > kDeepest) return std::nullopt;
    const auto known = known_.find(text);
    if (known != known_.end()) return known->second;
    if (known_.size() >= kMostParts || tries_ < 0) return std::nullopt;
    std::optional<std::string> chinese = ByTemplates(text, depth, /*strictly=*/true);
    if (!chinese) chinese = AfterPlace(text, depth);
    if (!chinese) chinese = InParts(text, "; ", "；", depth);
    if (!chinese) chinese = WithRemark(text, depth);
    if (!chinese) chinese = InParts(text, ", ", "，", depth);
    if (!chinese) chinese = ByTemplates(text, depth, /*strictly=*/false);
    return known_[text] = std::move(chinese);
  }

  // The whole text by one of these templates.
  std::optional<std::string> ByTemplatesOf(std::span<const Template> templates, std::string_view text,
                                           int depth, bool strictly) {
    for (const Template& entry : templates) {
      Values values;
      if (!Matches(entry.english, text, values, tries_)) continue;
      const bool holds_parts = std::any_of(values.begin(), values.end(), [text](const Value& value) {
        return !value.translated && HoldsParts(value.text, value.text.data() == text.data());
      });
      if (!strictly || !holds_parts) return Fill(entry.chinese, values, depth);
    }
    return std::nullopt;
  }

 private:
  std::string OrAsItIs(std::string_view text, int depth) {
    return Translate(text, depth + 1).value_or(std::string(text));
  }

  std::optional<std::string> ByTemplates(std::string_view text, int depth, bool strictly) {
    for (const std::span<const Template> templates : AllTemplates()) {
      std::optional<std::string> chinese = ByTemplatesOf(templates, text, depth, strictly);
      if (chinese) return chinese;
    }
    return std::nullopt;
  }

  std::string Fill(std::string_view pattern, const Values& values, int depth) {
    std::string out;
    int number = 0;
    char kind = 0;
    while (!pattern.empty()) {
      const size_t length = PlaceholderAt(pattern, &number, &kind);
      if (length == 0) {
        out += pattern[0];
        pattern.remove_prefix(1);
        continue;
      }
      const Value& value = values[static_cast<size_t>(number)];
      out += value.translated ? OrAsItIs(StateOr(value.text), depth) : std::string(value.text);
      pattern.remove_prefix(length);
    }
    return out;
  }

  // "FILE line 3: WHY". What stands before is one part.
  std::optional<std::string> AfterPlace(std::string_view text, int depth) {
    for (size_t at = text.find(": "); at != std::string_view::npos; at = text.find(": ", at + 1)) {
      if (text.substr(0, at).find("; ") != std::string_view::npos) break;
      const std::optional<std::string> why = Translate(text.substr(at + 2), depth + 1);
      if (why) return OrAsItIs(text.substr(0, at), depth) + "：" + *why;
    }
    return std::nullopt;
  }

  // Parts that follow each other, each of which is translated where it can be; the first must be.
  std::optional<std::string> InParts(std::string_view text, std::string_view mark,
                                     std::string_view chinese_mark, int depth) {
    for (size_t at = text.find(mark); at != std::string_view::npos; at = text.find(mark, at + 1)) {
      const std::optional<std::string> first = Translate(text.substr(0, at), depth + 1);
      if (!first) continue;
      const std::string_view rest = text.substr(at + mark.size());
      const std::optional<std::string> second = Translate(rest, depth + 1);
      if (mark == ", " && !second) continue;
      return *first + std::string(chinese_mark) + second.value_or(std::string(rest));
    }
    return std::nullopt;
  }

  // "WHAT (WHY)"
  std::optional<std::string> WithRemark(std::string_view text, int depth) {
    if (!text.ends_with(')')) return std::nullopt;
    for (size_t at = text.rfind(" ("); at != std::string_view::npos && at > 0;
         at = text.rfind(" (", at - 1)) {
      const std::optional<std::string> what = Translate(text.substr(0, at), depth + 1);
      if (what) return *what + "（" + OrAsItIs(text.substr(at + 2, text.size() - at - 3), depth) + "）";
    }
    return std::nullopt;
  }

  std::map<std::string_view, std::optional<std::string>> known_;  // By parts of the line.
  int tries_ = kMostTries;
};

std::string Line(std::string_view line) {
  const size_t begin = std::min(line.find_first_not_of(' '), line.size());
  Translator translator;
  return std::string(line.substr(0, begin)) +
         translator.Translate(line.substr(begin)).value_or(std::string(line.substr(begin)));
}

template <typename Change>
std::string EachLine(std::string_view text, const Change& change) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out += change(text.substr(0, end));
    if (end < text.size()) out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// "  key            value            reason": the widths of ft-rank's columns, and what a reason or key says.
std::string PlanLine(std::string_view line) {
  constexpr size_t kKey = 2, kValue = 17, kReason = 34;
  Translator translator;
  const bool has_columns =
      line.starts_with("  ") && line.size() > kReason && line[kValue - 1] == ' ' && line[kKey] != ' ';
  if (!has_columns) return Line(line);
  const std::string_view key = line.substr(kKey, line.find("  ", kKey) - kKey);
  const std::optional<std::string> chinese_key = translator.Translate(key.substr(0, kValue - kKey));
  for (size_t at = line.find(' ', kReason - 1); at != std::string_view::npos; at = line.find(' ', at + 1)) {
    const std::optional<std::string> reason = translator.Translate(line.substr(at + 1));
    if (!reason) continue;
    std::string_view value = line.substr(kValue, at - kValue);
    while (value.ends_with(' ')) value.remove_suffix(1);
    const std::string chinese_value = translator.Translate(value).value_or(std::string(value));
    return "  " + PadRight(chinese_key.value_or(std::string(key)), 14) + " " + PadRight(chinese_value, 16) +
           " " + *reason;
  }
  return std::string(line);
}

}  // namespace

std::string InLanguage(const Terminal& terminal, std::string_view text) {
  return terminal.language == Language::kChinese ? EachLine(text, Line) : std::string(text);
}

std::string PhraseInLanguage(const Terminal& terminal, std::span<const Template> phrases,
                             std::string_view text) {
  if (terminal.language != Language::kChinese || text.empty() || text.size() > kLongest)
    return std::string(text);
  const std::optional<std::string> phrase =
      Translator().ByTemplatesOf(phrases, text, /*depth=*/0, /*strictly=*/false);
  return phrase ? *phrase : InLanguage(terminal, text);
}

std::string ReportInLanguage(const Terminal& terminal, std::string_view report_line) {
  const bool is_sample = report_line.starts_with("Sample ");
  const size_t end = is_sample ? std::min(report_line.find('\n'), report_line.size()) : report_line.size();
  return InLanguage(terminal, report_line.substr(0, end)).append(report_line.substr(end));
}

std::string PlanInLanguage(const Terminal& terminal, std::string_view plan) {
  return terminal.language == Language::kChinese ? EachLine(plan, PlanLine) : std::string(plan);
}

std::span<const std::span<const Template>> AllTemplates() {
  static const std::array<std::span<const Template>, 9> kAll = {
      PlanTemplates(),   DataTemplates(),        ModelTemplates(),     HubTemplates(),    JobTemplates(),
      ClientTemplates(), CoordinatorTemplates(), DeepspeedTemplates(), LibraryTemplates()};
  return kAll;
}

}  // namespace ft::client
