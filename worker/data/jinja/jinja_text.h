// Python's view of strings: characters, white space, letters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ft::data::jinja {

// Python's str.isspace, which is what trim and strip take away.
bool IsPythonSpace(char32_t code);
std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
// Without the characters of `set` at its ends.
std::string_view StripSet(std::string_view text, std::string_view set, bool left, bool right);

// All below REQUIRE UTF-8.
// Where each character begins, and at the end the length.
std::vector<size_t> CharacterStarts(std::string_view text);
int64_t CountCharacters(std::string_view text);
// Where character number `index` begins; the length when there are not so many.
size_t CharacterOffset(std::string_view text, int64_t index);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
// The first character as in a title, the rest small.
std::string Capitalise(std::string_view text);
// str.title and str.swapcase.
std::string TitleWords(std::string_view text);
std::string SwapCase(std::string_view text);
// For HTML, as MarkupSafe does.
std::string EscapeHtml(std::string_view text);
// Whether repr() writes a character as it is.
bool IsPrintable(char32_t code);

// isalpha, isalnum, isdigit, isdecimal, isnumeric, isspace, islower, isupper, istitle; false for an empty text.
bool IsOfClass(std::string_view method, std::string_view text);

}  // namespace ft::data::jinja
