// A bar and a curve drawn with characters. Both are pure.
#pragma once

#include <span>
#include <string>

#include "client/render/terminal.h"

namespace ft::client {

// `width` columns, `fraction` (0 to 1) of them filled: "██████░░░░" or "######----".
std::string ProgressBar(double fraction, int width, const Terminal& terminal);

// At most `width` columns; the values are averaged in equal groups and drawn between their least and greatest.
// Not finite values are left out. "▇▅▃▂▁" or "#*=-." for falling values.
std::string Sparkline(std::span<const double> values, int width, const Terminal& terminal);

}  // namespace ft::client
