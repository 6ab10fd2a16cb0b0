// Dates and times of spreadsheets: days since a beginning, with the time as a fraction.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/data/readers/number_format.h"
#include "worker/data/readers/number_tokens.h"

namespace ft::data {

// Nothing for numbers that are no date in a spreadsheet: negative, or after the year 9999.
std::optional<std::string> FormatDate(double value, const std::vector<FormatToken>& tokens, DateSystem dates);

}  // namespace ft::data
