// The header row of a table.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::data {

// `text` without white space at both ends (ASCII's, the no-break and the ideographic space).
std::string Trimmed(std::string_view text);

// Trims the names and drops empty ones at the end. INVALID_ARGUMENT, with `place` in front, when none is left
// or two are equal. A column without a name keeps an empty one and is not read.
Status CheckColumns(const std::string& place, std::vector<std::string>* names);

}  // namespace ft::data
