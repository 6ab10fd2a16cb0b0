#include "worker/data/prepare/preview.h"

#include <algorithm>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "core/base/counted.h"

namespace ft::prepare {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Bytes of the UTF-8 character at the front of `text`, 0 when there is no whole one.
size_t CharacterSize(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t size = first < 0x80                    ? 1
                      : first >= 0xC2 && first < 0xE0 ? 2
                      : first >= 0xE0 && first < 0xF0 ? 3
                      : first >= 0xF0 && first < 0xF5 ? 4
                                                      : 0;
  if (size == 0 || size > text.size()) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return size;
}

// Whole characters as they are, control characters by number, stray bytes replaced.
std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    const auto first = static_cast<unsigned char>(text[0]);
    if (size == 0) {
      out += kReplacement;
    } else if (size == 1 && (first < 0x20 || first == 0x7F) && first != '\n' && first != '\t') {
      out += fmt::format("<U+{:04X}>", first);
    } else if (size == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0) {
      out += fmt::format("<U+{:04X}>", static_cast<unsigned char>(text[1]));
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return out;
}

std::string Marked(const std::string& text, bool ansi) {
  if (!ansi) return "⟦" + text + "⟧";
  std::string out = "\x1b[1;4m";
  for (const char c : text) {
    out +=
        c == '\n' ? "\x1b[0m\n\x1b[1;4m" : std::string(1, c);  // Pagers forget a style at the end of a line.
  }
  return out + "\x1b[0m";
}

// Renders the tokens [begin, end): runs of equal marking are decoded together, so that characters stay whole.
std::string RenderRange(const tokenizer::Tokenizer& tokenizer, const data::TokenSample& sample, size_t begin,
                        size_t end, bool ansi) {
  const auto marked = [&](size_t t) { return t > 0 && sample.loss_mask[t] != 0; };
  std::string out;
  while (begin < end) {
    size_t stop = begin + 1;
    while (stop < end && marked(stop) == marked(begin)) ++stop;
    const std::string text = Printable(tokenizer.Decode(sample.ids.subspan(begin, stop - begin)));
    out += marked(begin) ? Marked(text, ansi) : text;
    begin = stop;
  }
  return out;
}

// Whether token `t` begins in the middle of a character that an earlier token has begun.
bool BeginsInside(const tokenizer::Tokenizer& tokenizer, const data::TokenSample& sample, size_t t) {
  const std::string text = tokenizer.Decode(sample.ids.subspan(t, 1));
  return !text.empty() && (static_cast<unsigned char>(text[0]) & 0xC0) == 0x80;
}

}  // namespace

std::string RenderSample(const tokenizer::Tokenizer& tokenizer, const data::TokenSample& sample,
                         const PreviewOptions& options) {
  const size_t size = sample.ids.size();
  const auto limit = static_cast<size_t>(std::max<int64_t>(options.max_tokens, 2));
  if (size <= limit) return RenderRange(tokenizer, sample, 0, size, options.ansi);
  // Characters of several tokens are shown whole or not at all.
  size_t head = limit / 2, tail = size - (limit - head);
  while (head > 0 && BeginsInside(tokenizer, sample, head)) --head;
  while (tail < size && BeginsInside(tokenizer, sample, tail)) ++tail;
  return StrCat(RenderRange(tokenizer, sample, 0, head, options.ansi), "\n... ",
                Counted(static_cast<int64_t>(tail - head), "token"), " ...\n",
                RenderRange(tokenizer, sample, tail, size, options.ansi));
}

}  // namespace ft::prepare
