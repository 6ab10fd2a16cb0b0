#include "core/base/excerpt.h"

#include <algorithm>

namespace ft {
namespace {

bool BeginsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

}  // namespace

std::string Excerpt(std::string_view text, size_t characters) {
  std::string out;
  size_t count = 0;
  for (const char c : text) {
    if (BeginsCharacter(c) && ++count > characters) return out + "...";
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  }
  return out;
}

std::string ExcerptAround(std::string_view text, size_t offset) {
  constexpr size_t kBefore = 16, kFrom = 24;
  offset = std::min(offset, text.size());
  size_t begin = offset;
  for (size_t count = 0; begin > 0 && count < kBefore;) {
    if (BeginsCharacter(text[--begin])) ++count;
  }
  while (begin < offset && static_cast<unsigned char>(text[begin]) <= ' ') ++begin;
  return Excerpt(text.substr(begin), kBefore + kFrom);
}

}  // namespace ft
