#include "worker/data/tokenizer/word_patterns.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

enum Class : uint8_t { kOther, kLetter, kNumber, kSpace, kLineBreak };  // A line break is a space too.

bool IsSpace(Class kind) { return kind == kSpace || kind == kLineBreak; }

Class ClassOf(char32_t code) {
  if (code == '\r' || code == '\n') return kLineBreak;
  if (IsWhiteSpace(code)) return kSpace;
  const uint32_t mask = U_GET_GC_MASK(static_cast<UChar32>(code));
  if ((mask & U_GC_L_MASK) != 0) return kLetter;
  return (mask & U_GC_N_MASK) != 0 ? kNumber : kOther;
}

constexpr char32_t kTabled = 0x10000;

const Class* Table() {
  static const std::vector<Class> table = [] {
    std::vector<Class> made(kTabled);
    for (char32_t code = 0; code < kTabled; ++code) made[code] = ClassOf(code);
    return made;
  }();
  return table.data();
}

// A character's class and where the next one begins.
struct Character {
  Class kind;
  size_t end;
};

class Text {
 public:
  explicit Text(std::string_view text) : text_(text), table_(Table()) {}
  size_t size() const { return text_.size(); }
  char Byte(size_t pos) const { return pos < text_.size() ? text_[pos] : '\0'; }
  Character At(size_t pos) const {
    const auto byte = static_cast<unsigned char>(text_[pos]);
    if (byte < 0x80) return {table_[byte], pos + 1};
    const KnownChar found = ReadKnownUtf8(text_, pos);
    return {found.code < kTabled ? table_[found.code] : ClassOf(found.code), pos + found.length};
  }
  // The end of the characters of a class from pos on, `most` of them at most.
  size_t SkipAll(Class kind, size_t pos, size_t most = SIZE_MAX) const {
    for (; pos < size() && most > 0; --most) {
      const Character next = At(pos);
      if (next.kind != kind) break;
      pos = next.end;
    }
    return pos;
  }

 private:
  std::string_view text_;
  const Class* table_;
};

// The end of 's, 't, 're, 've, 'm, 'll or 'd at pos, or pos. `any_case`: capitals count, and U+017F, which folds to s.
size_t Contraction(const Text& text, size_t pos, bool any_case) {
  const auto lower = [any_case](char c) {
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = lower(text.Byte(pos + 1)), second = lower(text.Byte(pos + 2));
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return pos + 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
    return pos + 3;
  if (any_case && text.Byte(pos + 1) == '\xC5' && text.Byte(pos + 2) == '\xBF') return pos + 3;
  return pos;
}

// \s*[\r\n]+ where `breaks`, then \s+(?!\S), then \s+.
size_t Spaces(const Text& text, size_t pos, bool breaks) {
  size_t last = pos, end = pos, after_break = pos;
  while (end < text.size()) {
    const Character next = text.At(end);
    if (!IsSpace(next.kind)) break;
    last = end;
    end = next.end;
    if (next.kind == kLineBreak) after_break = end;
  }
  if (breaks && after_break > pos) return after_break;
  // What follows keeps the last of several spaces.
  return end == text.size() || last == pos ? end : last;
}

size_t Gpt2Word(std::string_view view, size_t pos, bool* matched) {
  *matched = true;
  const Text text(view);
  if (text.Byte(pos) == '\'') {
    if (const size_t end = Contraction(text, pos, /*any_case=*/false); end > pos) return end;
  }
  const Character first = text.At(pos);
  size_t begin = pos;
  Class kind = first.kind;
  if (text.Byte(pos) == ' ' && first.end < text.size()) {
    begin = first.end;
    kind = text.At(begin).kind;
  }
  if (IsSpace(kind)) return Spaces(text, pos, /*breaks=*/false);
  return text.SkipAll(kind, begin);
}

template <size_t kDigits>
size_t QwenWord(std::string_view view, size_t pos, bool* matched) {
  *matched = true;
  const Text text(view);
  if (text.Byte(pos) == '\'') {
    if (const size_t end = Contraction(text, pos, /*any_case=*/true); end > pos) return end;
  }
  const Character first = text.At(pos);
  if (first.kind == kLetter) return text.SkipAll(kLetter, first.end);
  if (first.kind == kNumber) return text.SkipAll(kNumber, pos, kDigits);
  const Class second = first.end < text.size() ? text.At(first.end).kind : kSpace;
  if (first.kind != kLineBreak && second == kLetter) return text.SkipAll(kLetter, first.end);
  const bool spaced = text.Byte(pos) == ' ' && second == kOther;
  if (first.kind == kOther || spaced) return text.SkipAll(kLineBreak, text.SkipAll(kOther, first.end));
  return Spaces(text, pos, /*breaks=*/true);
}

size_t Digit(std::string_view view, size_t pos, bool* matched) {
  const Text text(view);
  Character next = text.At(pos);
  *matched = next.kind == kNumber;
  while (!*matched && next.end < text.size()) {
    const Character after = text.At(next.end);
    if (after.kind == kNumber) break;
    next = after;
  }
  return next.end;
}

}  // namespace

WordScanner ScannerOf(std::string_view pattern) {
  const std::pair<std::string_view, WordScanner> known[] = {{kGpt2Pattern, Gpt2Word},
                                                            {kQwenPattern, QwenWord<1>},
                                                            {kLlama3Pattern, QwenWord<3>},
                                                            {kDigitPattern, Digit}};
  for (const auto& [text, scanner] : known) {
    if (text == pattern) return scanner;
  }
  return nullptr;
}

}  // namespace ft::tokenizer
