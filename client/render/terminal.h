// What the place we print to can show. main builds it once from the environment; everything else takes it as a value.
#pragma once

#include <string_view>

namespace ft::client {

enum class Language { kEnglish, kChinese };

struct Terminal {
  bool utf8 = false;  // Bars, dots and sparklines may leave ASCII. Text of the user is never changed for it.
  Language language = Language::kEnglish;
  bool interactive = false;  // A terminal: lines may be redrawn.
  int columns = 80;          // Tables and bars fit into this.
};

// The values of environment variables; empty = not set. The first of all, type/messages and lang that is set decides.
struct LocaleVariables {
  std::string_view all;       // LC_ALL
  std::string_view type;      // LC_CTYPE: the encoding
  std::string_view messages;  // LC_MESSAGES: the language
  std::string_view lang;      // LANG
};

// Whether a terminal of this type (TERM) moves its cursor when told to: one without a type, or a dumb one, does not.
bool CanRedraw(std::string_view type);

// Chinese needs UTF-8: without it messages are English.
Terminal TerminalFor(const LocaleVariables& locale, bool interactive, int columns);

}  // namespace ft::client
