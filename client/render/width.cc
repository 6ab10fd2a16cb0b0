#include "client/render/width.h"

#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <memory>

namespace ft::client {
namespace {

constexpr UChar32 kEmojiPresentation = 0xFE0F;

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// The code point at `offset`, negative when the bytes are no UTF-8; moves `offset` past it.
UChar32 NextCodePoint(std::string_view text, size_t& offset) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto length = static_cast<int64_t>(text.size());
  auto index = static_cast<int64_t>(offset);
  UChar32 code = 0;
  U8_NEXT(bytes, index, length, code);
  offset = static_cast<size_t>(index);
  return code;
}

int CodePointWidth(UChar32 code) {
  if (code < 0) return 1;
  if (code < 0x20 || code == 0x7F) return 0;
  if (code < 0x300) return code == 0xAD ? 0 : 1;
  const uint32_t type = U_MASK(u_charType(code));
  if ((type & (U_GC_MN_MASK | U_GC_ME_MASK | U_GC_CF_MASK | U_GC_CC_MASK)) != 0) return 0;
  const int wide = u_getIntPropertyValue(code, UCHAR_EAST_ASIAN_WIDTH);
  return wide == U_EA_FULLWIDTH || wide == U_EA_WIDE ? 2 : 1;
}

bool IsRegionalIndicator(UChar32 code) { return code >= 0x1F1E6 && code <= 0x1F1FF; }

// A grapheme is as wide as its first visible code point; flags and emoji presentation make it two.
int GraphemeWidth(std::string_view grapheme) {
  int width = 0;
  int indicators = 0;
  for (size_t offset = 0; offset < grapheme.size();) {
    const UChar32 code = NextCodePoint(grapheme, offset);
    if (code == kEmojiPresentation && width > 0) width = 2;
    if (IsRegionalIndicator(code) && ++indicators == 2) width = 2;
    if (width == 0) width = CodePointWidth(code);
  }
  return width;
}

struct BreakDeleter {
  void operator()(UBreakIterator* iterator) const { ubrk_close(iterator); }
};
struct TextDeleter {
  void operator()(UText* text) const { utext_close(text); }
};

// Calls visit(grapheme) until it returns false. Without break data (an ICU without its tables) goes by code points.
template <typename Visitor>
void VisitGraphemes(std::string_view text, const Visitor& visit) {
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<UBreakIterator, BreakDeleter> breaks;
  std::unique_ptr<UText, TextDeleter> source;
  if (!IsAscii(text)) {
    breaks.reset(ubrk_open(UBRK_CHARACTER, "", nullptr, 0, &error));
    source.reset(utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &error));
    if (U_SUCCESS(error)) ubrk_setUText(breaks.get(), source.get(), &error);
  }
  const bool by_breaks = breaks != nullptr && U_SUCCESS(error);
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    if (by_breaks) {
      const int32_t next = ubrk_next(breaks.get());
      end = next == UBRK_DONE ? text.size() : static_cast<size_t>(next);
    } else {
      NextCodePoint(text, end);
    }
    if (!visit(text.substr(begin, end - begin))) return;
    begin = end;
  }
}

std::string Cleaned(std::string_view text, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    const UChar32 code = NextCodePoint(text, offset);
    const bool is_control = (code >= 0 && code < 0x20) || (code >= 0x7F && code < 0xA0);
    if (code < 0) {
      out += '?';
    } else if (is_control && !(keep_lines && (code == '\n' || code == '\t'))) {
      out += ' ';
    } else {
      out.append(text.substr(begin, offset - begin));
    }
  }
  return out;
}

std::string Spaces(int count) { return std::string(static_cast<size_t>(std::max(0, count)), ' '); }

}  // namespace

int DisplayWidth(std::string_view text) {
  int width = 0;
  VisitGraphemes(text, [&width](std::string_view grapheme) {
    width += GraphemeWidth(grapheme);
    return true;
  });
  return width;
}

std::string CutToWidth(std::string_view text, int width, std::string_view mark) {
  if (DisplayWidth(text) <= width) return std::string(text);
  const int room = width - DisplayWidth(mark);
  if (room < 0) return std::string();
  int used = 0;
  size_t end = 0;
  VisitGraphemes(text, [&](std::string_view grapheme) {
    used += GraphemeWidth(grapheme);
    if (used > room) return false;
    end += grapheme.size();
    return true;
  });
  return std::string(text.substr(0, end)).append(mark);
}

std::string PadRight(std::string_view text, int width) {
  return std::string(text).append(Spaces(width - DisplayWidth(text)));
}

std::string PadLeft(std::string_view text, int width) {
  return Spaces(width - DisplayWidth(text)).append(text);
}

std::string Printable(std::string_view text) { return Cleaned(text, /*keep_lines=*/false); }

std::string PrintableLines(std::string_view text) { return Cleaned(text, /*keep_lines=*/true); }

}  // namespace ft::client
