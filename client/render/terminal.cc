#include "client/render/terminal.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace ft::client {
namespace {

std::string_view FirstSet(std::string_view a, std::string_view b, std::string_view c) {
  if (!a.empty()) return a;
  return !b.empty() ? b : c;
}

bool NamesUtf8(std::string_view locale) {
  const size_t dot = locale.find('.');
  if (dot == std::string_view::npos) return false;
  std::string encoding(locale.substr(dot + 1, locale.find('@') - dot - 1));
  encoding.erase(std::remove(encoding.begin(), encoding.end(), '-'), encoding.end());
  std::transform(encoding.begin(), encoding.end(), encoding.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return encoding == "utf8";
}

}  // namespace

bool CanRedraw(std::string_view type) { return !type.empty() && type != "dumb"; }

Terminal TerminalFor(const LocaleVariables& locale, bool interactive, int columns) {
  Terminal terminal;
  terminal.utf8 = NamesUtf8(FirstSet(locale.all, locale.type, locale.lang));
  const bool chinese = FirstSet(locale.all, locale.messages, locale.lang).substr(0, 2) == "zh";
  terminal.language = terminal.utf8 && chinese ? Language::kChinese : Language::kEnglish;
  terminal.interactive = interactive;
  terminal.columns = columns >= 40 ? columns : 80;
  return terminal;
}

}  // namespace ft::client
