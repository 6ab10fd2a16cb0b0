// How many columns text takes on a terminal, and cutting and padding by that. Chinese characters and emoji take two;
// combining marks take none. Text is UTF-8 and is only ever cut between graphemes. Unicode data come from ICU.
#pragma once

#include <string>
#include <string_view>

namespace ft::client {

// Columns of the text. Bytes that are no UTF-8 count one each.
int DisplayWidth(std::string_view text);

// The text if it fits, else its longest start that leaves room for `mark`, followed by `mark`.
std::string CutToWidth(std::string_view text, int width, std::string_view mark);

// Spaces are added up to `width` columns; longer text stays as it is.
std::string PadRight(std::string_view text, int width);
std::string PadLeft(std::string_view text, int width);

// One line that cannot steer the terminal: control characters become spaces, broken UTF-8 becomes '?'.
std::string Printable(std::string_view text);

// As Printable, but keeps line ends and tabs, for text of several lines such as logs.
std::string PrintableLines(std::string_view text);

}  // namespace ft::client
