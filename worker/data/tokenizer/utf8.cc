#include "worker/data/tokenizer/utf8.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

namespace ft::tokenizer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

unsigned char Byte(std::string_view text, size_t pos) { return static_cast<unsigned char>(text[pos]); }

// Copies whole characters to out and replaces broken ones; returns where an incomplete last one begins.
size_t CopyCharacters(std::string_view text, std::string* out) {
  size_t pos = 0;
  while (pos < text.size()) {
    const Utf8Char next = ReadUtf8(text, pos);
    if (next.kind == Utf8Char::Kind::kIncomplete) return pos;
    out->append(next.kind == Utf8Char::Kind::kValid ? text.substr(pos, next.length) : kReplacement);
    pos += next.length;
  }
  return pos;
}

}  // namespace

Utf8Char ReadUtf8(std::string_view text, size_t pos) {
  const unsigned char lead = Byte(text, pos);
  if (lead < 0x80) return {Utf8Char::Kind::kValid, 1, lead};
  size_t following = 0;
  char32_t code = 0;
  // The second byte's range excludes overlong forms, surrogates and code points beyond U+10FFFF.
  unsigned char low = 0x80, high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    following = 1;
    code = lead & 0x1F;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    following = 2;
    code = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    following = 3;
    code = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {Utf8Char::Kind::kInvalid, 1, 0};
  }
  for (size_t i = 1; i <= following; ++i) {
    if (pos + i == text.size()) return {Utf8Char::Kind::kIncomplete, i, 0};
    const unsigned char byte = Byte(text, pos + i);
    if (byte < low || byte > high) return {Utf8Char::Kind::kInvalid, i, 0};
    code = (code << 6) | (byte & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {Utf8Char::Kind::kValid, following + 1, code};
}

Utf8Char ReadUtf8Before(std::string_view text, size_t pos) {
  size_t begin = pos - 1;
  while (begin > 0 && (Byte(text, begin) & 0xC0) == 0x80) --begin;
  return ReadUtf8(text.substr(0, pos), begin);
}

namespace {

// Whether a character of three bytes stands at pos, but for those of U+0000 to U+0FFF and U+D000 to U+DFFF, of which some are none: most
// characters of Chinese, Japanese and Korean.
bool IsUsualOfThree(std::string_view text, size_t pos) {
  if (text.size() - pos < 3) return false;
  const unsigned char lead = Byte(text, pos);
  return lead > 0xE0 && lead <= 0xEF && lead != 0xED && (Byte(text, pos + 1) & 0xC0) == 0x80 &&
         (Byte(text, pos + 2) & 0xC0) == 0x80;
}

}  // namespace

std::optional<size_t> FirstInvalidUtf8(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080u;
  size_t pos = 0;
  while (pos < text.size()) {
    uint64_t eight = 0;
    while (text.size() - pos >= sizeof(eight)) {
      std::memcpy(&eight, text.data() + pos, sizeof(eight));
      if ((eight & kHighBits) != 0) {
        pos += static_cast<size_t>(std::countr_zero(eight & kHighBits)) / 8;
        break;
      }
      pos += sizeof(eight);
    }
    if (pos == text.size()) break;
    if (IsUsualOfThree(text, pos)) {
      pos += 3;
      continue;
    }
    const Utf8Char next = ReadUtf8(text, pos);
    if (next.kind != Utf8Char::Kind::kValid) return pos;
    pos += next.length;
  }
  return std::nullopt;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  if (CopyCharacters(text, &out) < text.size()) out.append(kReplacement);
  return out;
}

bool IsWhiteSpace(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

void AppendUtf8(char32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
    return;
  }
  if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (code >> 6)));
  } else {
    if (code < 0x10000) {
      out->push_back(static_cast<char>(0xE0 | (code >> 12)));
    } else {
      out->push_back(static_cast<char>(0xF0 | (code >> 18)));
      out->push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
    }
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
  }
  out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
}

std::string Utf8Streamer::Push(std::string_view bytes) {
  pending_.append(bytes);
  std::string ready;
  const size_t done = CopyCharacters(pending_, &ready);
  pending_.erase(0, done);
  return ready;
}

std::string Utf8Streamer::Flush() {
  if (pending_.empty()) return "";
  pending_.clear();
  return std::string(kReplacement);
}

}  // namespace ft::tokenizer
