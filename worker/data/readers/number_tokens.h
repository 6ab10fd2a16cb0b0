// Format codes of spreadsheets taken apart: sections, their conditions and tokens (ECMA-376 part 1, 18.8.31).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ft::data {

enum class FormatPart {
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

struct FormatToken {
  FormatPart part;
  std::string text;
};

// The tokens of a section; nothing when it holds what is not interpreted.
std::optional<std::vector<FormatToken>> TokeniseFormat(std::string_view section);

// The sections of a code, cut at semicolons outside quotes and escapes.
std::vector<std::string_view> FormatSections(std::string_view code);

// "[>=100]" at the front of a section.
struct FormatCondition {
  std::string comparison;  // < <= > >= = <>
  double limit = 0;
  bool Holds(double value) const;
};
// Takes the condition off the section's front; nothing when there is none.
std::optional<FormatCondition> TakeCondition(std::string_view* section);

// The section without quoted and escaped text and without brackets: what is left steers the layout.
std::string FormatSkeleton(std::string_view section);

}  // namespace ft::data
