#include "worker/data/jinja/jinja_text.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <utility>

#include "worker/data/tokenizer/utf8.h"

namespace ft::data::jinja {
namespace {

using tokenizer::AppendUtf8;
using tokenizer::ReadUtf8;

icu::UnicodeString Units(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

std::string Bytes(const icu::UnicodeString& units) {
  std::string out;
  units.toUTF8String(out);
  return out;
}

// One character as the first of a title: ß becomes Ss, ǆ becomes ǅ.
std::string TitleCharacter(std::string_view character) {
  const auto code = static_cast<UChar32>(ReadUtf8(character, 0).code);
  std::string title;
  if (u_totitle(code) != code) {
    AppendUtf8(static_cast<char32_t>(u_totitle(code)), &title);
    return title;
  }
  const std::string upper = Upper(character);
  const size_t first = ReadUtf8(upper, 0).length;
  return upper.substr(0, first) + Lower(std::string_view(upper).substr(first));
}

bool IsCased(char32_t code) { return u_hasBinaryProperty(static_cast<UChar32>(code), UCHAR_CASED); }
bool IsUpperCode(char32_t code) { return u_isUUppercase(static_cast<UChar32>(code)); }
bool IsLowerCode(char32_t code) { return u_isULowercase(static_cast<UChar32>(code)); }
bool IsTitleCode(char32_t code) { return u_charType(static_cast<UChar32>(code)) == U_TITLECASE_LETTER; }

bool HasNumericType(char32_t code, std::initializer_list<int32_t> types) {
  const int32_t type = u_getIntPropertyValue(static_cast<UChar32>(code), UCHAR_NUMERIC_TYPE);
  return std::find(types.begin(), types.end(), type) != types.end();
}

bool IsOfClass(std::string_view method, char32_t code) {
  if (method == "isspace") return IsPythonSpace(code);
  if (method == "isdecimal") return HasNumericType(code, {U_NT_DECIMAL});
  if (method == "isdigit") return HasNumericType(code, {U_NT_DECIMAL, U_NT_DIGIT});
  if (method == "isnumeric") return HasNumericType(code, {U_NT_DECIMAL, U_NT_DIGIT, U_NT_NUMERIC});
  const bool letter = u_isalpha(static_cast<UChar32>(code));
  if (method == "isalpha") return letter;
  return letter || HasNumericType(code, {U_NT_DECIMAL, U_NT_DIGIT, U_NT_NUMERIC});  // isalnum
}

// islower, isupper and istitle, which look at letters with a case only.
bool IsOfCase(std::string_view method, std::string_view text) {
  bool any = false, after_cased = false;
  for (size_t at = 0; at < text.size();) {
    const tokenizer::Utf8Char character = ReadUtf8(text, at);
    at += character.length;
    const char32_t code = character.code;
    const bool cased = IsCased(code);
    const bool big = IsUpperCode(code) || IsTitleCode(code);
    if (method == "islower" && big) return false;
    if (method == "isupper" && (IsLowerCode(code) || IsTitleCode(code))) return false;
    if (method == "istitle" && cased && (big ? after_cased : !after_cased)) return false;
    any = any || cased;
    after_cased = cased;
  }
  return any;
}

}  // namespace

bool IsPythonSpace(char32_t code) { return tokenizer::IsWhiteSpace(code) || (code >= 0x1C && code <= 0x1F); }

std::string_view StripLeft(std::string_view text) {
  while (!text.empty()) {
    const tokenizer::Utf8Char first = ReadUtf8(text, 0);
    if (!IsPythonSpace(first.code)) break;
    text.remove_prefix(first.length);
  }
  return text;
}

std::string_view StripRight(std::string_view text) {
  while (!text.empty()) {
    const tokenizer::Utf8Char last = tokenizer::ReadUtf8Before(text, text.size());
    if (!IsPythonSpace(last.code)) break;
    text.remove_suffix(last.length);
  }
  return text;
}

std::string_view StripSet(std::string_view text, std::string_view set, bool left, bool right) {
  while (left && !text.empty()) {
    const size_t length = ReadUtf8(text, 0).length;
    if (set.find(text.substr(0, length)) == std::string_view::npos) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    const size_t length = tokenizer::ReadUtf8Before(text, text.size()).length;
    if (set.find(text.substr(text.size() - length)) == std::string_view::npos) break;
    text.remove_suffix(length);
  }
  return text;
}

std::vector<size_t> CharacterStarts(std::string_view text) {
  std::vector<size_t> starts;
  for (size_t pos = 0; pos < text.size(); pos += ReadUtf8(text, pos).length) starts.push_back(pos);
  starts.push_back(text.size());
  return starts;
}

int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

size_t CharacterOffset(std::string_view text, int64_t index) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80 && index-- == 0) break;
  }
  return at;
}

std::string Upper(std::string_view text) {
  icu::UnicodeString units = Units(text);
  units.toUpper(icu::Locale::getRoot());
  return Bytes(units);
}

std::string Lower(std::string_view text) {
  icu::UnicodeString units = Units(text);
  units.toLower(icu::Locale::getRoot());
  return Bytes(units);
}

std::string Capitalise(std::string_view text) {
  if (text.empty()) return std::string();
  const size_t first = ReadUtf8(text, 0).length;
  return TitleCharacter(text.substr(0, first)) + Lower(text.substr(first));
}

std::string TitleWords(std::string_view text) {
  std::string out;
  bool after_cased = false;
  for (size_t at = 0; at < text.size();) {
    const tokenizer::Utf8Char character = ReadUtf8(text, at);
    const std::string_view one = text.substr(at, character.length);
    out += after_cased ? Lower(one) : TitleCharacter(one);
    after_cased = IsCased(character.code);
    at += character.length;
  }
  return out;
}

std::string SwapCase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const tokenizer::Utf8Char character = ReadUtf8(text, at);
    const std::string_view one = text.substr(at, character.length);
    out += IsUpperCode(character.code)   ? Lower(one)
           : IsLowerCode(character.code) ? Upper(one)
                                         : std::string(one);
    at += character.length;
  }
  return out;
}

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out += c;
    }
  }
  return out;
}

bool IsPrintable(char32_t code) {
  if (code == ' ') return true;
  switch (u_charType(static_cast<UChar32>(code))) {
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_SURROGATE:
    case U_PRIVATE_USE_CHAR:
    case U_UNASSIGNED:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
    case U_SPACE_SEPARATOR: return false;
    default: return true;
  }
}

bool IsOfClass(std::string_view method, std::string_view text) {
  if (text.empty()) return false;
  if (method == "islower" || method == "isupper" || method == "istitle") return IsOfCase(method, text);
  for (size_t at = 0; at < text.size();) {
    const tokenizer::Utf8Char character = ReadUtf8(text, at);
    if (!IsOfClass(method, character.code)) return false;
    at += character.length;
  }
  return true;
}

}  // namespace ft::data::jinja
